"""Exports of Nsight Systems (SQLite, Parquet) to the columns that a Kineto trace is read to."""
