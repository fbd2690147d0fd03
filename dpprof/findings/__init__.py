"""What is worth mending: findings whose gain is computed by re-timing the run without them."""
