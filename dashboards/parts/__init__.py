"""Small components that pages are made of."""
