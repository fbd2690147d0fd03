"""What a gate says."""
