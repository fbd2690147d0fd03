"""What a diff says."""
