"""What pages show, as tables: loaded once, made ready for figures."""
