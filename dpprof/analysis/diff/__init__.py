"""What changed between two runs and why: differences that add up exactly."""
