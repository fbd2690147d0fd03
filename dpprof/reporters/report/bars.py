"""One bar per rank that shows at a glance where its time went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dpprof.analysis.figures import RankFigures
from dpprof.analysis.model import Report
from dpprof.reporters.report.rank_sections import MOST_RANKS, rank_name, worst_first
from dpprof.tables.kinds import COMPUTE_ONLY, FUSED, MEMORY, OVERLAP


@dataclass(frozen=True)
class Paint:
    """How a part of a bar looks: never by colour alone."""

    name: str
    block: str
    ascii: str
    style: str

    def character(self, unicode: bool) -> str:
        """The character of one step of the bar."""
        return self.block if unicode else self.ascii


PAINTS = (
    Paint("compute", "█", "#", "blue"),
    Paint("overlap", "▓", "=", "cyan"),
    Paint("exposed", "░", "-", "yellow"),
    Paint("memory", "▪", "m", "magenta"),
    Paint("fused", "▒", "%", "green"),
    Paint("bubble", "·", ".", "red"),
)


def paints(report: Report) -> list[Paint]:
    """What to explain: all but fused kernels, which few runs have, where there are none."""
    return [paint for paint in PAINTS if paint.name != FUSED or report.total.states_ns[FUSED]]


def bars(report: Report, length: int) -> Iterator[tuple[str, list[tuple[Paint, int]]]]:
    """Rank name and the parts of its bar, with their lengths in characters, worst rank first."""
    for rank in worst_first(report)[:MOST_RANKS]:
        if rank.window_ns:
            yield rank_name(rank, report), _parts(rank, length)


def _parts(rank: RankFigures, length: int) -> list[tuple[Paint, int]]:
    """Round the running sum, so that the parts always fill the bar."""
    times = (
        rank.states_ns[COMPUTE_ONLY],
        rank.states_ns[OVERLAP],
        rank.exposed_ns,
        rank.states_ns[MEMORY],
        rank.states_ns[FUSED],
        rank.bubble_ns,
    )
    parts, total, before = [], 0, 0
    for paint, time_ns in zip(PAINTS, times, strict=True):
        total += time_ns
        end = round(total * length / rank.window_ns)
        parts.append((paint, end - before))
        before = end
    return parts
