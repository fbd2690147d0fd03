"""Peaks of memory, and what holds it there."""
