"""What is amiss in one trace: evidence before it is known which rank the trace is of."""

from __future__ import annotations

from dataclasses import dataclass

from dpprof.evidence.evidence import Evidence


@dataclass(frozen=True)
class Fault:
    """As `dpprof.evidence.evidence.Evidence`, without file and ranks."""

    check: str
    found: int
    of: int
    touches: tuple[str, ...]
    text: str

    def of_rank(self, rank: int) -> Evidence:
        """The evidence that it is, of a rank; it does not name the file yet."""
        return Evidence(self.check, self.found, self.of, (rank,), self.touches, self.text)
