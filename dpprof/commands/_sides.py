"""Reads what is gated or saved as a baseline, with the options of a verb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpprof.commands._config import user_patterns
from dpprof.commands._reading import ReadingOptions

if TYPE_CHECKING:
    from dpprof.gating import GateSide
    from dpprof.runs.run import Run


@dataclass(frozen=True)
class SideReader:
    """How to read runs: on what, and which steps of them."""

    reading: ReadingOptions
    steps: str | None = None
    whole_trace: bool = False

    def read(self, paths: Sequence[str]) -> GateSide:
        """The figures of the runs at `paths`, repeats of one thing, or of one baseline file."""
        from dpprof.gating import read_side

        return read_side(list(paths), self._load)

    def _load(self, path: str) -> Run:
        from dpprof.trace.load import load_run

        with self.reading.shown() as how:
            return load_run(
                path,
                patterns=user_patterns(),
                reading=how,
                steps=self.steps,
                whole_trace=self.whole_trace,
            )
