"""The names of the dispatchers, apart from what they import."""

DISPATCHERS = ("all-to-all", "deepep", "symmetric-memory")
"""Each is a module of this package that has a ``make(place)``."""
