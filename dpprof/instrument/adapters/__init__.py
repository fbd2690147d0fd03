"""Adapters: what dpprof knows of other people's training loops, one framework a file."""

from dpprof.instrument.adapters.contract import Adapter, Pipeline

__all__ = ["Adapter", "Pipeline"]
