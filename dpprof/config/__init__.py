"""Configuration: ``dpprof.toml`` or ``[tool.dpprof]``, and the environment."""
