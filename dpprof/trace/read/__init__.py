"""The bytes of one trace file to columns."""
