"""Capture: torch.profiler around any training loop, with labels that the analyzers understand."""

from dpprof.instrument.block import capture
from dpprof.instrument.history import start_memory_history
from dpprof.instrument.labels import label, slot_label
from dpprof.instrument.session import Capture, CaptureWarning

__all__ = ["Capture", "CaptureWarning", "capture", "label", "slot_label", "start_memory_history"]
