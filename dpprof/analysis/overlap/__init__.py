"""Communication hidden and exposed, by kind and by operation."""
