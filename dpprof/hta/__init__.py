"""Runs for HTA, Meta's Holistic Trace Analysis, which is an extra and imported nowhere else."""

from __future__ import annotations
