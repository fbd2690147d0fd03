"""Load of experts, and better places for them."""
