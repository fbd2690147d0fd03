"""Columns of events that analyses look at, and what a rank does at an instant."""
