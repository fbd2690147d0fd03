"""When to capture: after the first steps, or as a rule, a signal or another shell says.

Ranks agree on the step without a word to each other: a rule on the step's number is the same for
all, and what one rank alone sees becomes a file that says a step some way ahead, which the others
find in time.
"""

from __future__ import annotations

import math
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from statistics import median

from dpprof.launcher.rules import WindowRule, read_rule
from dpprof.launcher.settings import Settings

REQUEST = "request"
_WINDOW = "window-{}"
_LOOK_EVERY_S = 0.25
_AHEAD_S = 1.0
_REMEMBERED = 50
_ENOUGH = 5


class Windows:
    """Which steps of this process are captured; has state as it counts and remembers them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rule = read_rule(settings.when) if settings.when else None
        self._control = Path(settings.notes)
        self._lengths: deque[float] = deque(maxlen=_REMEMBERED)
        self._is_slow = False
        self._asked = 0
        self._looked = -math.inf
        self._first = True

    def took(self, seconds: float) -> None:
        """A step took so long."""
        factor = 0.0 if self._rule is None else self._rule.slower_than_median
        known = len(self._lengths) >= _ENOUGH
        self._is_slow = bool(factor) and known and seconds > factor * median(self._lengths)
        self._lengths.append(seconds)

    def begins_after(self, step: int) -> bool:
        """Whether a window begins now that `step` steps (from 1) have ended."""
        if self._rule is None and self._first and step >= max(self._settings.skip, 1):
            self._first = False
            return True
        due = step + 1 + self._settings.warmup
        if self._rule is not None and self._is_due(self._rule, due, step):
            return True
        return self._is_asked_for(step)

    def folder(self, step: int) -> Path:
        """Where the window that begins after `step` is written."""
        base = Path(self._settings.folder)
        return base if self._rule is None else base / f"step{step + 1 + self._settings.warmup}"

    def _is_due(self, rule: WindowRule, due: int, step: int) -> bool:
        too_early = self._first and step == 1 and 0 < rule.at < due
        if rule.is_due(due) or too_early:
            self._first = False
            return True
        return False

    def _is_asked_for(self, step: int) -> bool:
        now = time.monotonic()
        if not self._is_slow and now - self._looked < _LOOK_EVERY_S:
            return False
        self._looked = now
        window = self._control / _WINDOW.format(self._asked)
        if self._is_slow or (self._control / REQUEST).exists():
            _write_once(window, step + self._ahead())
            (self._control / REQUEST).unlink(missing_ok=True)
        if not window.exists():
            return False
        self._looked = -math.inf  # from here on every step counts
        if step < int(window.read_text() or step + 1):
            return False
        self._asked += 1
        return True

    def _ahead(self) -> int:
        """Steps until all ranks have surely looked."""
        usual = median(self._lengths) if self._lengths else _AHEAD_S
        return 2 + math.ceil(_AHEAD_S / max(usual, 1e-3))


def ask_for_window(control: Path) -> None:
    """Ask the ranks of a job, from outside, for a window."""
    (control / REQUEST).touch()


def _write_once(file: Path, step: int) -> None:
    with suppress(FileExistsError), file.open("x") as made:
        made.write(str(step))
