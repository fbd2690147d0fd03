"""Puts an adapter's slots and steps around the functions of its module, once."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

from dpprof.instrument.adapters.contract import Adapter, Pipeline, PipelineOf, SlotOf
from dpprof.instrument.labels import is_inside, is_recording, slot_label
from dpprof.tables.labels import SLOT_LABEL

_MARK = "__dpprof__"

Tell = Callable[[], Pipeline | None]
"""Gives what the framework says of the pipeline, when it is asked."""

OnStep = Callable[[str, Tell], None]

_listeners: list[OnStep] = []
_failures: list[Callable[[str, Exception], None]] = []
_depth: Counter[str] = Counter()
_within: list[Tell] = []
"""What the last step within the one under way would tell."""


def listen(on_step: OnStep) -> None:
    """Have `on_step` called with an adapter's name, and what it tells, at the end of each step."""
    _listeners.append(on_step)


def ignore(on_step: OnStep) -> None:
    """Have it called no longer."""
    if on_step in _listeners:
        _listeners.remove(on_step)


def on_failure(tell: Callable[[str, Exception], None]) -> None:
    """Have `tell` called where an adapter fails; the training goes on in any case."""
    _failures.append(tell)


def patch_module(adapter: Adapter, module: ModuleType) -> None:
    """Patch the functions that the adapter names; those that the module lacks are left out."""
    for name, slot_of in adapter.slots.items():
        _replace(module, name, functools.partial(_as_slot, adapter, slot_of))
    for name, pipeline_of in adapter.steps.items():
        _replace(module, name, functools.partial(_as_step, adapter, pipeline_of))
    if adapter.extend is not None and not hasattr(module, _MARK + adapter.name):
        setattr(module, _MARK + adapter.name, True)
        adapter.extend(module)


def nothing() -> None:
    """What a loop without a pipeline has to tell of it."""


def step_ended(adapter: str, tell: Tell = nothing) -> None:
    """Let everybody who listens know that a training step has ended.

    What ends within another step is none, as where a trainer's step runs a pipeline's several
    times: it only tells of the pipeline.
    """
    if any(_depth.values()):
        if tell is not nothing:
            _within[:] = [tell]
        return
    told = [tell, *_within]
    _within.clear()
    for on_step in list(_listeners):
        on_step(adapter, lambda: _first_told(told))


def _first_told(told: list[Tell]) -> Pipeline | None:
    return next((one for one in (tell() for tell in told) if one is not None), None)


def guarded(adapter: str, ask: Callable[[], Any]) -> Any:
    """What `ask` gives; None where it fails, which is told and never raised."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - whatever an adapter does, training goes on
        for tell in _failures:
            tell(adapter, error)
        return None


def _replace(module: ModuleType, name: str, around: Callable[[Any], Any]) -> None:
    *path, last = name.split(".")
    owner: Any = module
    for part in path:
        owner = getattr(owner, part, None)
    inner = None if owner is None else vars(owner).get(last)
    if inner is None or not callable(inner) or hasattr(inner, _MARK):
        return
    outer = around(inner)
    setattr(outer, _MARK, True)
    setattr(owner, last, outer)


def _as_slot(adapter: Adapter, slot_of: SlotOf, inner: Any) -> Any:
    @functools.wraps(inner)
    def call(*arguments: Any, **named: Any) -> Any:
        if not is_recording() or is_inside(SLOT_LABEL):
            return inner(*arguments, **named)
        label = guarded(adapter.name, lambda: _label(slot_of(*arguments, **named)))
        if label is None:
            return inner(*arguments, **named)
        with label:
            return inner(*arguments, **named)

    return call


def _label(slot: str | None) -> AbstractContextManager[None] | None:
    return None if slot is None else slot_label(slot)


def _as_step(adapter: Adapter, pipeline_of: PipelineOf | None, inner: Any) -> Any:
    @functools.wraps(inner)
    def call(*arguments: Any, **named: Any) -> Any:
        if not any(_depth.values()):
            _within.clear()
        _depth[adapter.name] += 1
        try:
            result = inner(*arguments, **named)
        finally:
            _depth[adapter.name] -= 1
        if _depth[adapter.name] == 0 and _listeners:
            guarded(adapter.name, lambda: _end(adapter, pipeline_of, arguments, named))
        return result

    return call


def _end(
    adapter: Adapter, pipeline_of: PipelineOf | None, arguments: Any, named: dict[str, Any]
) -> None:
    if adapter.training is not None and not adapter.training(*arguments, **named):
        return

    def tell() -> Pipeline | None:
        if pipeline_of is None:
            return None
        told = guarded(adapter.name, lambda: pipeline_of(*arguments, **named))
        return told if isinstance(told, Pipeline) else None

    step_ended(adapter.name, tell)
