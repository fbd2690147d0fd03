"""Reads Kineto traces, one file per rank, into the tables of a run (`dpprof.trace.load`)."""
