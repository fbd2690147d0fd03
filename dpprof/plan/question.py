"""What a plan is asked for, and a row of its answer."""

from __future__ import annotations

from dataclasses import dataclass

from dpprof.costs.profile import CostProfile


@dataclass(frozen=True, kw_only=True)
class Question:
    """Configurations to compare: every schedule on every number of pipeline ranks.

    The job has `ranks` devices, of which ``ranks / pp`` pipelines are made; the step's
    `micro_batches` are shared among them. The model has `layers` layers. `pps`, `chunks` (a rank's
    in one direction) and `names` restrict what is looked at; empty: all. `recompute` holds
    ``none``, ``full`` or both: see `dpprof.costs.recompute`.
    """

    ranks: int
    costs: CostProfile
    layers: int
    micro_batches: tuple[int, ...]
    memory_bytes: int | None = None
    pps: tuple[int, ...] = ()
    chunks: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    recompute: tuple[str, ...] = ("none",)
    ep: int | None = None
    """Ranks among which the costs share experts, if that is known: it divides the pipelines."""
    times_unknown: str = ""
    """Why the costs say no times: rows then have what they hold, and nothing of time."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One configuration, predicted; times in ns, None where the costs do not say them.

    `micro_batches` are those of one pipeline, `layers` those of the stage that has most of
    `stage_layers`. `peak_bytes` is by pipeline rank, None where the costs do not say what a layer
    holds; `over_bytes` is how much the fullest rank lacks. `best_trade`: no other row is as fast
    with less memory.
    """

    schedule: str
    pp: int
    pipelines: int
    chunks: int
    micro_batches: int
    layers: int
    stage_layers: tuple[int, ...]
    recompute: str
    step_ns: int | None
    tokens_per_second: float | None
    bubble_share: float | None
    peak_chunks: tuple[int, ...]
    peak_bytes: tuple[int, ...] | None
    fits: bool | None
    over_bytes: int | None
    what_if: str | None = None
    """Address of the row in a dashboard of the run; None where that cannot show it."""
    best_trade: bool = False
    ep: int | None = None
    """Ranks that share the experts, where that was asked for."""


@dataclass(frozen=True)
class Plan:
    """Rows, best first, those that do not fit last; and what was left out, with the reason.

    `notes` are what rows do not say of themselves: why times are None, what they leave out.
    """

    rows: tuple[Row, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...] = ()
