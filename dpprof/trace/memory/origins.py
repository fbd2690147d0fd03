"""What memory was allocated for, from what a snapshot says of each allocation."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Any, NamedTuple


class Origin(IntEnum):
    """Where an allocation was made, or, where the snapshot says so itself, what for."""

    NOT_RECORDED = 0
    """Nothing is known: it was made before the recording, or without stack frames."""
    OTHER = 1
    """There are stack frames, but none that says anything."""
    PARAMETER = 2
    GRADIENT = 3
    OPTIMIZER_STATE = 4
    ACTIVATION = 5
    COMMUNICATION = 6
    TEMPORARY = 7
    FORWARD = 8
    BACKWARD = 9
    OPTIMIZER_STEP = 10


_CATEGORIES = {
    "parameter": Origin.PARAMETER,
    "gradient": Origin.GRADIENT,
    "optimizer_state": Origin.OPTIMIZER_STATE,
    "activation": Origin.ACTIVATION,
    "input": Origin.ACTIVATION,
    "communication": Origin.COMMUNICATION,
    "temporary": Origin.TEMPORARY,
    "autograd_detail": Origin.TEMPORARY,
}
"""The words of torch's memory profiler, and of ``torch.cuda.memory._set_memory_metadata``."""


class _FrameRule(NamedTuple):
    """A frame whose file and function match is of `origin`; an empty pattern matches all."""

    origin: Origin
    file: re.Pattern[str]
    function: re.Pattern[str]


def _rule(origin: Origin, file: str, function: str = "") -> _FrameRule:
    return _FrameRule(origin, re.compile(file), re.compile(function))


_FRAME_RULES = (
    _rule(
        Origin.COMMUNICATION,
        r"distributed_c10d\.py$|_functional_collectives\.py$|_symmetric_memory|_fsdp_collectives"
        r"|/deep_ep/|nvshmem|/p2p_communication\.py$",
    ),
    _rule(Origin.COMMUNICATION, "", r"\bc10d::|ProcessGroup(?:NCCL|Gloo)|nvshmem"),
    _rule(Origin.OPTIMIZER_STEP, r"/torch/optim/|/(?:\w*_)?optimizers?(?:/|\.py$)"),
    _rule(Origin.BACKWARD, "", r"torch::autograd::Engine::|AccumulateGrad"),
    _rule(Origin.BACKWARD, r"/torch/autograd/(?:graph|__init__)\.py$|/torch/_tensor\.py$", "back"),
    _rule(
        Origin.PARAMETER,
        r"/torch/nn/(?:parameter|init)\.py$|/torch/nn/modules/",
        r"^(?:__new__|__init__|reset_parameters|_apply|to|to_empty|cuda|convert|\w+_)$",
    ),
    _rule(Origin.FORWARD, "", r"(?:^|\.)(?:forward|_call_impl|_wrapped_call_impl)$"),
)
"""Asked of each frame, the innermost first; the first frame that a rule knows decides."""

_MOST_FRAMES = 256


class OriginReader:
    """Reads origins; remembers what it has read, as snapshots share frames (has state for that)."""

    def __init__(self) -> None:
        self._of_frame: dict[int, Origin] = {}
        self._of_stack: dict[int, Origin] = {}

    def read(self, entry: dict[str, Any]) -> Origin:
        """The origin of a block or trace entry; the entry must outlive this reader."""
        for key in ("category", "user_metadata"):
            said = entry.get(key)
            if isinstance(said, str) and said.lower() in _CATEGORIES:
                return _CATEGORIES[said.lower()]
        frames = entry.get("frames")
        if not isinstance(frames, list) or not frames:
            return Origin.NOT_RECORDED
        found = self._of_stack.get(id(frames))
        if found is None:
            found = self._of_stack[id(frames)] = self._stack(frames)
        return found

    def _stack(self, frames: list[Any]) -> Origin:
        for frame in frames[:_MOST_FRAMES]:
            origin = self._of_frame.get(id(frame))
            if origin is None:
                origin = self._of_frame[id(frame)] = _frame_origin(frame)
            if origin is not Origin.OTHER:
                return origin
        return Origin.OTHER


def _words(value: Any) -> str:
    """A text; the text of anything else may have no end (a list that holds lists twice)."""
    return value[:500] if isinstance(value, str) else ""


def _frame_origin(frame: Any) -> Origin:
    if not isinstance(frame, dict):
        return Origin.OTHER
    file, function = (_words(frame.get(key)) for key in ("filename", "name"))
    file = file.replace("\\", "/")
    for rule in _FRAME_RULES:
        if rule.file.search(file) and rule.function.search(function):
            return rule.origin
    return Origin.OTHER
