"""torch.profiler as a capture runs it, and the guard against a second one at the same time.

Torch has one profiler a process: beginning another silently breaks the one that runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dpprof.errors import DpprofError

_WISHES = ("enable_cuda_sync_events", "trace_only")
"""Experimental options that a capture sets where torch has them: waits of the host for the device
as rows of their own, and no Python object for every event, which halves the time of stopping."""


def make_profiler(
    unrecorded: int, steps: int, on_ready: Callable[[Any], None], *, shapes: bool
) -> Any:
    """A profiler for `steps` steps that calls `on_ready` with all but the first recorded.

    With `shapes`, every operator's inputs are in it: that doubles the time of stopping, and is for
    messages of which nothing else says the peers, tags and sizes.
    """
    from torch.profiler import ProfilerActivity, profile, schedule

    activities = [ProfilerActivity.CPU]
    if has_cuda():
        activities.append(ProfilerActivity.CUDA)
    return profile(
        activities=activities,
        profile_memory=True,
        record_shapes=shapes,
        schedule=schedule(wait=0, warmup=unrecorded, active=steps - unrecorded, repeat=1),
        on_trace_ready=on_ready,
        experimental_config=_wishes(),
    )


def _wishes() -> Any:
    from torch._C._profiler import _ExperimentalConfig

    wishes: tuple[str, ...]
    for wishes in (_WISHES, _WISHES[:1], ()):
        try:
            return _ExperimentalConfig(**dict.fromkeys(wishes, True))  # type: ignore[arg-type]
        except TypeError:
            continue  # this torch is older than the wish
    return None


def range_class() -> Any:
    """The cheapest profiler range there is: 1 µs where torch has the fast one, else 10 µs."""
    import torch

    fast = getattr(torch._C._profiler, "_RecordFunctionFast", None)
    return fast or torch.profiler.record_function


def has_cuda() -> bool:
    """Whether this process can use a CUDA device."""
    import torch

    return bool(torch.cuda.is_available())


def has_accelerator() -> bool:
    """Whether this process may hold a device of any kind."""
    import torch

    known = getattr(torch, "accelerator", None)  # since torch 2.6
    return has_cuda() or bool(known is not None and known.is_available())


def refuse_second() -> None:
    """Raise `DpprofError` where a profiler of torch records already."""
    import torch

    if torch.autograd._profiler_enabled():
        raise DpprofError(
            "torch.profiler is running already, and torch has one profiler a process: begin the "
            "capture outside its block, or leave one of the two out"
        )


class Guard:
    """Calls `on_second` when the job begins a profiler of its own; has state as patches do.

    `on_second` may raise, to forbid it, or end the capture first.
    """

    def __init__(self, own: Any, on_second: Callable[[], None]) -> None:
        from torch.profiler import profiler

        self._class = profiler._KinetoProfile
        self._own, self._on_second = own, on_second
        self._inner: Callable[..., None] | None = None

    def start(self) -> None:
        """Watch from here on."""
        inner = self._inner = self._class.prepare_trace
        own, on_second = self._own, self._on_second

        def prepare_trace(profiler: Any) -> None:
            if profiler is not own:
                on_second()
            inner(profiler)

        self._class.prepare_trace = prepare_trace

    def stop(self) -> None:
        """Watch no longer."""
        if self._inner is not None:
            self._class.prepare_trace = self._inner
            self._inner = self._own = None
