"""``python -m dpprof``."""

from dpprof.cli import main

main()
