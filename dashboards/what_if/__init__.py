"""What-if: what a view asks to be simulated, with whose costs, and what comes of it."""
