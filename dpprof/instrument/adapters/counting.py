"""Numbers calls within a step, for frameworks whose functions do not say their micro-batch."""

from __future__ import annotations

from collections import Counter


class CallCounter:
    """How often each operation was begun in this step; has state as it counts."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()

    def next(self, operation: str) -> str:
        """The slot of the next call: ``F0.0``, then ``F0.1``, ..."""
        number = self._count[operation]
        self._count[operation] += 1
        return f"{operation}0.{number}"

    def start_over(self) -> None:
        """Begin again at 0, at the end of a step."""
        self._count.clear()
