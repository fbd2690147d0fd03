"""What ran, in which step and slot, and of which kind."""
