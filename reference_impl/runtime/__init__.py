"""Walks a schedule: lanes, messages, streams."""
