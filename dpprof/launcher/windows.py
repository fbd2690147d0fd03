"""When to capture: after the first steps, or as a rule, a signal or another shell says."""

from __future__ import annotations

from pathlib import Path

from dpprof.launcher.settings import Settings


class Windows:
    """Which steps of this process are captured; has state as it counts them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._begun = 0

    def took(self, step: int, seconds: float) -> None:
        """Step `step` (from 1) took so long."""

    def begins_after(self, step: int) -> bool:
        """Whether a window begins now that `step` steps have ended."""
        begins = self._begun == 0 and step >= max(self._settings.skip, 1)
        self._begun += begins
        return begins

    @property
    def are_over(self) -> bool:
        """Whether no further window can come."""
        return self._begun > 0

    def folder(self, base: Path, step: int) -> Path:
        """Where the window that begins after `step` is written."""
        return base
