"""Whether figures differ by more than chance: one answer for gates and diffs."""
