"""The report: every analysis of a run in one value."""
