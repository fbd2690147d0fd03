"""An HTA ``TraceAnalysis`` whose failures say which analysis failed, and why."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from dpprof.errors import DpprofError
from dpprof.hta.stragglers import Identify

_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    SystemError,
    TypeError,
    ValueError,
)
"""What HTA's code has been seen to raise on sound data."""

_NEEDS_PEERS = "get_potential_stragglers"
_NOT_READ = {
    "get_cupti_counter_data_with_operators": "performance counters (CUPTI) of a trace are not read",
}
_KNOWN_REASONS = {
    "get_potential_stragglers": "it needs marked steps and communication that takes 1 % of a step",
    "get_idle_time_breakdown": "it needs activity on a GPU stream",
    "get_temporal_breakdown": "it needs activity on a GPU stream",
    "critical_path_analysis": "it needs GPU launches, and operators that nest within a thread",
    "get_frequent_cuda_kernel_sequences": "it needs operators that nest within a thread",
    "get_aten_op_kernels_and_delay": "it needs operators that nest within a thread",
}


def guarded(trace: Any, ranks: Sequence[int], identify: Identify) -> Any:
    """A ``TraceAnalysis`` of a `Trace` that is already filled with these ranks.

    `identify` names stragglers, unless the caller gives another. Where HTA would take rank 0 for
    want of another, it takes the first rank present.
    """
    from hta.trace_analysis import TraceAnalysis

    methods = {
        name: _guard(name, method, ranks, identify)
        for name, method in vars(TraceAnalysis).items()
        if callable(method) and not name.startswith("_")
    }
    analysis = type("TraceAnalysis", (TraceAnalysis,), methods)
    made: Any = object.__new__(analysis)  # the constructor would read traces
    made.__dict__["t"] = trace
    return made


def _guard(
    name: str, method: Callable[..., Any], ranks: Sequence[int], identify: Identify
) -> Callable[..., Any]:
    signature = inspect.signature(method)
    defaults = {"rank": ranks[0], "ranks": [ranks[0]], "straggler_identification_impl": identify}

    @functools.wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        given = signature.bind(*arguments, **options).arguments
        for option, value in defaults.items():
            if option in signature.parameters and option not in given:
                options[option] = value
        if name in _NOT_READ:
            raise DpprofError(f"HTA's {name}: {_NOT_READ[name]}; let HTA read the trace itself")
        if name == _NEEDS_PEERS and len(ranks) < 2:
            raise DpprofError(f"HTA's {name} compares ranks; load the traces of all ranks")
        try:
            return method(*arguments, **options)
        except _FAILURES as error:
            what = f"{type(error).__name__}: {error}".removesuffix(": ")
            reason = _KNOWN_REASONS.get(name, "HTA's messages on stderr may say more")
            raise DpprofError(f"HTA's {name} failed ({what}); {reason}") from error

    return call
