"""The adapters there are: dpprof's own, and those that packages register as entry points."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType

from dpprof.errors import DpprofError
from dpprof.instrument.adapters.contract import Adapter
from dpprof.instrument.adapters.imports import watch
from dpprof.instrument.adapters.patching import guarded, patch_module

ENTRY_POINTS = "dpprof.adapters"
"""The group: each entry is an `Adapter`, or several of them."""

_OWN = (
    *("messages", "torch_pipelining", "torchtitan", "dualpipe", "megatron", "deepspeed_pipe"),
    "plain_loops",
)


def find_adapters(wanted: Sequence[str] = ()) -> list[Adapter]:
    """The adapters with the names `wanted`, or all; others' may replace none of dpprof's own.

    Raises `DpprofError` that lists the known ones for a name that is none.
    """
    found = [one for name in _OWN for one in _of_module(name)]
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        told = guarded(entry.name, entry.load)
        if told is not None:
            found += [told] if isinstance(told, Adapter) else list(told)
    known = sorted({one.name for one in found})
    for name in wanted:
        if name not in known:
            raise DpprofError(f"no adapter {name!r}; the known ones are {', '.join(known)}")
    return [one for one in found if not wanted or one.name in wanted]


def _of_module(name: str) -> tuple[Adapter, ...]:
    module = importlib.import_module(f"dpprof.instrument.adapters.{name}")
    adapters: tuple[Adapter, ...] = module.ADAPTERS
    return adapters


def switch_on(
    adapters: Sequence[Adapter], watch: Callable[[str, Callable[[ModuleType], None]], None]
) -> None:
    """Patch the modules that are imported already; `watch` is asked for the others."""
    for adapter in adapters:
        module = sys.modules.get(adapter.module)
        if module is not None and _is_ready(module):
            _patch(adapter, module)
        else:
            watch(adapter.module, lambda module, adapter=adapter: _patch(adapter, module))  # type: ignore[misc]


def _patch(adapter: Adapter, module: ModuleType) -> None:
    guarded(adapter.name, lambda: patch_module(adapter, module))


def _is_ready(module: ModuleType) -> bool:
    return not getattr(getattr(module, "__spec__", None), "_initializing", False)


@cache
def switch_on_all() -> None:
    """Patch what is there of all frameworks, and the others when they come; once a process."""
    switch_on(find_adapters(), watch.wait_for)
