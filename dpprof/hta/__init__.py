"""Runs for HTA, Meta's Holistic Trace Analysis, which is an extra and imported nowhere else."""

from __future__ import annotations

from dpprof.hta.analysis import trace_analysis

__all__ = ["trace_analysis"]
