"""The tools of the server: what each takes, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from dpprof.api import LoadedRun, load
from dpprof.errors import DpprofError
from dpprof.mcp.folders import Folders
from dpprof.reporters.brief import brief

MOST_ROWS = 20


class OfRun(msgspec.Struct, forbid_unknown_fields=True):
    """A run: a folder or a trace file below the server's folders."""

    run: str
    brief: bool = True


class OfRank(msgspec.Struct, forbid_unknown_fields=True):
    """A run, and what to look at in it."""

    run: str
    rank: int | None = None
    rows: int = MOST_ROWS


class OfSlot(msgspec.Struct, forbid_unknown_fields=True):
    """A slot of a run, as in ``F0.3&B1.2``."""

    run: str
    slot: str
    rank: int | None = None


class OfTwo(msgspec.Struct, forbid_unknown_fields=True):
    """Two runs to compare."""

    base: str
    new: str
    brief: bool = True


class OfGate(msgspec.Struct, forbid_unknown_fields=True):
    """A run, rules such as ``bubble_share > 12%``, and a baseline where they need one."""

    run: str
    rules: list[str] = []
    baseline: str | None = None


class OfPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A run whose costs are planned with, on how many devices of how many bytes."""

    run: str
    ranks: int | None = None
    micro_batches: int | None = None
    memory_bytes: int | None = None
    rows: int = MOST_ROWS


@dataclass(frozen=True)
class Tool:
    """A tool by name: what its arguments are, and what answers them."""

    name: str
    text: str
    arguments: type[msgspec.Struct]
    answer: Callable[[Any, Folders], Any]

    def listing(self) -> dict[str, Any]:
        """As the protocol lists it, with the JSON Schema of the arguments."""
        (schema,), definitions = msgspec.json.schema_components([self.arguments])
        return {
            "name": self.name,
            "description": self.text,
            "inputSchema": definitions[schema["$ref"].rpartition("/")[2]],
            "annotations": {"readOnlyHint": True},
        }


@lru_cache(maxsize=4)
def _loaded(path: str) -> LoadedRun:
    return load(path)


def _report(of: OfRun, folders: Folders) -> Any:
    report = _loaded(folders.path(of.run)).report()
    return msgspec.to_builtins(brief(report) if of.brief else report)


def _findings(of: OfRun, folders: Folders) -> Any:
    from dpprof.findings.find import find_findings

    loaded = _loaded(folders.path(of.run))
    return msgspec.to_builtins(find_findings(loaded.run, loaded.report()))


def _bubbles(of: OfRank, folders: Folders) -> Any:
    regions = _loaded(folders.path(of.run)).report().regions
    chosen = [one for one in regions if of.rank is None or one.rank == of.rank]
    chosen.sort(key=lambda one: one.start_ns - one.end_ns)
    rows = chosen[: max(0, of.rows)]
    return {"bubbles": msgspec.to_builtins(rows), "more": len(chosen) - len(rows)}


def _slot(of: OfSlot, folders: Folders) -> Any:
    slots = _loaded(folders.path(of.run)).slots
    rows = slots[slots["slot"].astype(str) == of.slot]
    if of.rank is not None:
        rows = rows[rows["rank"] == of.rank]
    if rows.empty:
        raise DpprofError(f"no slot {of.slot[:60]!r} in this run; F0.3 or F0.3&B1.2 are slots")
    records = rows.astype({"slot": str, "operation": str}).to_dict("records")
    return {"slots": records[:MOST_ROWS], "more": max(0, len(records) - MOST_ROWS)}


def _diff(of: OfTwo, folders: Folders) -> Any:
    base, new = (_loaded(folders.path(path)) for path in (of.base, of.new))
    diff = new.diff(base)
    if of.brief:
        from dpprof.reporters.diff.render import render_diff

        return {"text": render_diff(diff, "markdown", color=False, width=100, unicode=True)}
    return msgspec.to_builtins(diff)


def _gate(of: OfGate, folders: Folders) -> Any:
    from dpprof.gating import gate
    from dpprof.reporters.gate.render import render_gate

    baseline = None if of.baseline is None else folders.path(of.baseline)
    result = gate(folders.path(of.run), of.rules, baseline=baseline)
    return {"text": render_gate(result, "markdown", color=False, width=100, unicode=True)}


def _plan(of: OfPlan, folders: Folders) -> Any:
    from dpprof.analysis.costs_from_run import costs_from_run
    from dpprof.costs.stages import model_layers
    from dpprof.plan.answer import answer
    from dpprof.plan.question import Question

    run = _loaded(folders.path(of.run)).run
    if run.schedule is None:
        raise DpprofError("the schedule of this run is not known; plan from a labelled run")
    costs = costs_from_run(run, run.name)
    question = Question(
        ranks=of.ranks or run.schedule.pp,
        costs=costs,
        layers=model_layers(costs, run.schedule.placement.stage_count),
        micro_batches=(of.micro_batches or run.schedule.micro_batches,),
        memory_bytes=of.memory_bytes,
    )
    plan = answer(question)
    rows = plan.rows[: max(0, of.rows)]
    return {
        "rows": msgspec.to_builtins(rows),
        "more": len(plan.rows) - len(rows),
        "notes": list(plan.notes),
    }


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("report", "Where the time of each rank of a run went.", OfRun, _report),
        Tool("findings", "What would make the steps shorter, with milliseconds.", OfRun, _findings),
        Tool("bubbles", "The longest idle intervals, with their causes.", OfRank, _bubbles),
        Tool("slot", "When a slot of the schedule ran, by rank and step.", OfSlot, _slot),
        Tool("diff", "What changed between two runs and why.", OfTwo, _diff),
        Tool("gate", "Whether a run keeps its limits.", OfGate, _gate),
        Tool("plan", "Schedules ranked by predicted step for a run's costs.", OfPlan, _plan),
    )
}
"""The tools by name; none of them writes anything."""
