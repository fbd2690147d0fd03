"""Parameters, activations, bubble and throughput of both sides beside what schedules promise."""

from __future__ import annotations

from dpprof.analysis.diff.model import Theory, TheoryDiff
from dpprof.analysis.model import Report
from dpprof.runs.run import Run
from dpprof.schedules.in_flight import peak_in_flight
from dpprof.schedules.registry import schedule_names
from dpprof.schedules.theory import theory

_NO_SCHEDULE = "the schedule is not known"
_ANY_COSTS = {"F": 1, "B": 2, "W": 1}
"""For promises that costs have no part in."""

_ACTIVATION_FORMS = {"1f1b": "PP", "zb1p": "PP", "dualpipe": "PP+1", "dualpipev": "PP+1"}
"""As published, PP counting stages."""

_Side = tuple[Run, Report]


def theory_diffs(base: _Side, new: _Side) -> list[TheoryDiff]:
    """The four figures, whether or not they are known."""
    return [
        TheoryDiff(name="parameters", unit="bytes", base=_parameters(*base), new=_parameters(*new)),
        TheoryDiff(
            name="activations", unit="chunks", base=_activations(*base), new=_activations(*new)
        ),
        TheoryDiff(name="bubble", unit="ns", base=_bubble(*base), new=_bubble(*new)),
        TheoryDiff(
            name="throughput", unit="tokens/s", base=_throughput(*base), new=_throughput(*new)
        ),
    ]


def _parameters(run: Run, report: Report) -> Theory:
    """The rank that holds most; the form says how many stages a device holds."""
    known = [rank for rank in report.ranks if rank.memory.parameter_bytes is not None]
    measured = max((rank.memory.parameter_bytes or 0 for rank in known), default=None)
    if run.schedule is None:
        return Theory(measured=measured, reason=_NO_SCHEDULE)
    stages = theory(run.schedule, _ANY_COSTS).stages_per_device
    each = [(rank.memory.parameter_bytes or 0) / len(rank.stages) for rank in known if rank.stages]
    return Theory(
        measured=measured,
        closed_form=stages * max(each) if each else None,
        form=f"{stages}x",
        reason="" if known else "run.json does not say what parameters take",
    )


def _activations(run: Run, report: Report) -> Theory:
    """The most chunks in flight on a rank at its peak; the schedule's own count is the ideal."""
    held = [sum(rank.memory.in_flight.values()) for rank in report.ranks if rank.memory.in_flight]
    measured = max(held, default=None)
    if run.schedule is None:
        return Theory(measured=measured, reason=_NO_SCHEDULE)
    named = run.schedule.name in schedule_names()
    return Theory(
        measured=measured,
        ideal=max(peak.total for peak in peak_in_flight(run.schedule)),
        closed_form=theory(run.schedule, _ANY_COSTS).activation_chunks if named else None,
        form=_ACTIVATION_FORMS.get(run.schedule.name, ""),
        reason="" if held else "no memory curve with slots to count in",
    )


def _bubble(run: Run, report: Report) -> Theory:
    """Per step, of the rank that idles most."""
    steps = len(report.per_step)
    measured = max((rank.bubble_ns / steps for rank in report.ranks), default=None)
    ideal = report.ideal
    if ideal is None:
        return Theory(measured=measured, reason=_why_no_ideal(run))
    return Theory(
        measured=measured,
        ideal=ideal.bubble_ns / ideal.steps,
        closed_form=None if ideal.closed_form_ns is None else ideal.closed_form_ns / ideal.steps,
        form=ideal.closed_form,
        reason=ideal.note,
    )


def _throughput(run: Run, report: Report) -> Theory:
    """Tokens per second; the forms change the step by what they change the worst rank's bubble."""
    measured, ideal = report.tokens_per_second, report.ideal
    if measured is None:
        return Theory(measured=None, reason="run.json does not say how many tokens a step takes")
    if ideal is None:
        return Theory(measured=measured, reason=_why_no_ideal(run))
    tokens_ns = measured * report.window_ns
    of_form = ideal.closed_form_ns
    busy_ns = ideal.window_ns - ideal.bubble_ns
    return Theory(
        measured=measured,
        ideal=tokens_ns / ideal.window_ns,
        closed_form=None if of_form is None else tokens_ns / (busy_ns + of_form),
        form="" if of_form is None else "by the bubble's",
        reason=ideal.note,
    )


def _why_no_ideal(run: Run) -> str:
    return _NO_SCHEDULE if run.schedule is None else "no ideal of this run: see its warnings"
