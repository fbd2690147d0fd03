"""Keeps what was read once: tables as Parquet in the user's cache folder, keyed by content."""
