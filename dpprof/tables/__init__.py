"""The joints of dpprof: column names, kinds and states, labels, and interval arithmetic."""
