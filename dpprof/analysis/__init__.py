"""Analyses: pure functions from the tables of a run to figures."""
