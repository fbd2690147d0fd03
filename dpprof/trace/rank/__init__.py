"""One trace to the tables of one rank."""
