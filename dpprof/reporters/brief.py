"""A report cut to what a program with little room needs: about two thousand tokens at most."""

from __future__ import annotations

import msgspec

from dpprof.analysis.figures import TimeFigures
from dpprof.analysis.model import Report

SCHEMA_VERSION = 1
MOST_RANKS = 8
MOST_TEXTS = 5
_LONGEST_TEXT = 400


class BriefRank(msgspec.Struct, frozen=True, kw_only=True):
    """A rank's sums over the used steps; states that it was never in are left out."""

    rank: int
    bubble_share: float | None
    hidden_share: float | None
    exposed_ns: int
    wait_ns: int | None
    states_ns: dict[str, int]


class BriefFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding without its words."""

    what: str
    ranks: list[int]
    gain_ns: int
    confidence: str
    knob: str


class BriefReport(msgspec.Struct, frozen=True, kw_only=True):
    """The report in brief: `ranks` are those with the most bubble, `more_ranks` how many more.

    `total` is over all ranks (rank -1), `evidence` and `warnings` the first of each.
    """

    schema_version: int = SCHEMA_VERSION
    name: str
    source: str
    schedule: str | None
    pp: int | None
    micro_batches: int | None
    used_steps: int
    step_ns: int | None
    total: BriefRank
    ranks: list[BriefRank]
    more_ranks: int
    findings: list[BriefFinding]
    evidence: list[str]
    warnings: list[str]


def brief(report: Report) -> BriefReport:
    """The brief form of a report."""
    worst = sorted(report.ranks, key=lambda rank: -(rank.bubble_share or 0))
    return BriefReport(
        name=report.name,
        source=report.source,
        schedule=report.schedule,
        pp=report.pp,
        micro_batches=report.micro_batches,
        used_steps=report.steps.used,
        step_ns=report.step_ns,
        total=_rank(-1, report.total),
        ranks=[_rank(rank.rank, rank) for rank in worst[:MOST_RANKS]],
        more_ranks=max(0, len(worst) - MOST_RANKS),
        findings=[
            BriefFinding(
                what=one.what,
                ranks=one.ranks[:MOST_RANKS],
                gain_ns=one.gain_ns,
                confidence=one.confidence,
                knob=one.knob[:_LONGEST_TEXT],
            )
            for one in report.findings[:MOST_TEXTS]
        ],
        evidence=[one.text[:_LONGEST_TEXT] for one in report.evidence[:MOST_TEXTS]],
        warnings=[text[:_LONGEST_TEXT] for text in report.warnings[:MOST_TEXTS]],
    )


def brief_text(report: Report) -> str:
    """The brief form as one line of JSON."""
    return msgspec.json.encode(brief(report)).decode()


def _rank(rank: int, figures: TimeFigures) -> BriefRank:
    return BriefRank(
        rank=rank,
        bubble_share=figures.bubble_share,
        hidden_share=figures.hidden_share,
        exposed_ns=figures.exposed_ns,
        wait_ns=figures.wait_ns,
        states_ns={state: ns for state, ns in figures.states_ns.items() if ns},
    )
