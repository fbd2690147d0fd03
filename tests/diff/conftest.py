"""Random runs, and how to look at a diff."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import strategies as st

from dpprof.analysis.diff.diff_runs import diff_runs
from dpprof.analysis.diff.model import Diff, Part
from dpprof.costs.load import load_costs
from dpprof.runs.run import Run
from dpprof.schedules.registry import make_schedule
from dpprof.simulate.run import simulated_run
from dpprof.trace.load import load_run

_KINDS = (
    "compute",
    "compute",
    "compute",
    "dispatch",
    "combine",
    "p2p",
    "all_reduce",
    "memory",
    "fused",
)
_LABELS = st.fixed_dictionaries(
    {
        "micro_batch": st.integers(0, 2),
        "direction": st.just(0),
        "stage": st.integers(0, 1),
        "part": st.sampled_from(["F", "I", "W"]),
        "component": st.sampled_from(["mlp", "attention"]),
        "layer": st.integers(0, 1),
    }
)
_NAMES = ("gemm_64x64_nn", "gemm_128x64_nn", "void add<float>(int)", "void add<int>(int)")


@st.composite
def _row(draw: st.DrawFn, rank: int, step: int) -> dict[str, Any]:
    start = 100 * step + draw(st.integers(0, 40))
    length = draw(st.integers(0, 20))
    kind = draw(st.sampled_from(_KINDS))
    row = {
        "rank": rank,
        "step": step,
        "kind": kind,
        "start_ns": start,
        "end_ns": start + length,
        "lane": draw(st.sampled_from("01")),
    }
    if kind not in ("compute", "memory"):
        row["ready_ns"] = draw(st.one_of(st.just(-1), st.integers(start - 5, start + length + 5)))
    if draw(st.booleans()):
        labels = draw(_LABELS)
        operation = {"F": "F", "I": "B", "W": "B"}[labels["part"]]
        slot = f"{operation}0.{labels['micro_batch']}"
        return row | labels | {"slot": slot, "operation": operation, "name": "label"}
    return row | {"name": draw(st.sampled_from(_NAMES))}


@st.composite
def random_runs(draw: st.DrawFn, make_run: Callable[..., Run]) -> Run:
    """A run of 1 to 3 ranks and steps, its activities labelled or not, matched or not."""
    ranks, steps = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rows = [
        row
        for rank in range(ranks)
        for step in range(steps)
        for row in draw(st.lists(_row(rank, step), min_size=1, max_size=6))
    ]
    return make_run(rows, used_steps=tuple(range(steps)), world_size=ranks)


def parts_of(part: Part) -> Iterator[Part]:
    """A part and all that it is made of."""
    yield part
    for one in part.parts:
        yield from parts_of(one)


def trees(diff: Diff) -> Iterator[Part]:
    """The roots of all trees of a diff."""
    yield from (diff.time, diff.work, diff.operations)
    if diff.critical_path is not None:
        yield diff.critical_path
    for rank in diff.ranks:
        yield from (rank.time, rank.work)
    for stage in diff.stages:
        yield stage.time


def find(part: Part, *names: str) -> Part:
    """The part at the end of a path of names."""
    for name in names:
        part = next(one for one in part.parts if one.name == name)
    return part


def times(part: Part) -> dict[str, tuple[int, int]]:
    """Name -> time on both sides, of the parts of a part."""
    return {one.name: (one.base_ns, one.new_ns) for one in part.parts}


_SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_run() -> Callable[[str], Run]:
    """Reads a public trace beside the repository."""
    if not _SHARED.is_dir():
        pytest.skip("no public traces beside the repository (../shared/data)")
    return lambda name: load_run(str(_SHARED / name))


@pytest.fixture(scope="session")
def sample_run() -> Callable[[str], Run]:
    """Reads a sample of the repository, each once."""
    traces = Path(__file__).resolve().parents[2] / "traces"
    return cache(lambda name: load_run(str(traces / name)))


@pytest.fixture(scope="session")
def sample_diff(sample_run: Callable[[str], Run]) -> Diff:
    """The sample of 1F1B beside that of DualPipe."""
    return diff_runs(sample_run("1f1b"), sample_run("dualpipe"))


@pytest.fixture(scope="session")
def simulated() -> Callable[..., Run]:
    """A step of a schedule in simulated time, with built-in costs."""

    def make(name: str, pp: int, micro_batches: int, costs: str = "unit-components") -> Run:
        return simulated_run(make_schedule(name, pp, micro_batches), load_costs(costs))

    return make


@pytest.fixture(scope="session")
def diffs() -> SimpleNamespace:
    return SimpleNamespace(
        random_runs=random_runs, parts_of=parts_of, trees=trees, find=find, times=times
    )
