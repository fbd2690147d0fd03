"""``dpprof run``: profiles anybody's training, through the environment and an import hook."""
