"""The state of a view: which runs, steps and ranges it shows, in its URL."""
