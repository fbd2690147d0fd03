"""Which files are read, who reads them, and what the cache has of them."""
