"""The timeline between tables and figure: what is in the picture, what is at a point of it."""
