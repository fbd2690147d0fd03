"""What is not the same about two runs before anything is measured, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dpprof.analysis.diff.model import Differs
from dpprof.analysis.model import Report
from dpprof.analysis.report.ideal import spans_steps
from dpprof.runs.run import Run

NOT_SAID = "not said"
_LONGEST = 60


def differs(base: tuple[Run, Report], new: tuple[Run, Report]) -> list[Differs]:
    """What differs, in the order in which people ask; what only one side says is left out."""
    first, second = _facts(*base), _facts(*new)
    return [
        Differs(what=what, base=_text(first.get(what)), new=_text(second.get(what)))
        for what in dict.fromkeys((*first, *second))
        if first.get(what) != second.get(what)
        and (what in _ASKED or (what in first and what in second))
    ]


_ASKED = ("source", "schedule", "pipeline ranks", "micro-batches", "ranks", "device")


def _facts(run: Run, report: Report) -> dict[str, Any]:
    """Only what is known."""
    facts = {
        "source": report.source,
        "schedule": report.schedule,
        "pipeline ranks": report.pp,
        "micro-batches": report.micro_batches,
        "ranks": report.world_size,
        "device": report.device,
    }
    manifest = run.manifest
    if manifest is not None:
        facts["tokens per step"] = manifest.tokens_per_step
        facts |= dict(_flat("mesh", manifest.mesh))
        facts |= dict(_flat("sizes", manifest.sizes))
        facts |= dict(_flat("costs", _without_names(manifest.costs or {})))
        facts |= dict(_flat("version of", manifest.versions))
        facts["seed"] = manifest.seed
        facts["commit"] = manifest.commit
    return {what: value for what, value in facts.items() if value not in (None, "", {}, [])}


def _without_names(costs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in costs.items() if name not in ("name", "source")}


def _flat(name: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{name} {key}", value)
        else:
            yield f"{name} {key}", value


def _text(value: Any) -> str:
    text = NOT_SAID if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def notes(base: tuple[Run, Report], new: tuple[Run, Report]) -> Iterator[str]:
    """What a reader has to know before comparing the figures."""
    tokens = [run.manifest.tokens_per_step if run.manifest else None for run, _ in (base, new)]
    if tokens[0] and tokens[1] and tokens[0] != tokens[1]:
        ratio = tokens[1] / tokens[0]
        yield f"a step of NEW takes x{ratio:.2f} the tokens of BASE's: compare the throughput, too"
    whole = [_is_whole_trace(run) for run, _ in (base, new)]
    for name, alone in (("BASE", whole[0] and not whole[1]), ("NEW", whole[1] and not whole[0])):
        if alone:
            yield (
                f"{name} marks no steps: its whole trace is taken for one step, which may be other "
                "work than a step of the other side"
            )
    for name, (run, _) in (("BASE", base), ("NEW", new)):
        if spans_steps(run):
            yield f"{name} is a window of several steps"


def _is_whole_trace(run: Run) -> bool:
    return run.steps.empty
