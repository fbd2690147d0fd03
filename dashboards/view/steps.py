"""The step that a view shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def view_step(wanted: int | None, steps: Sequence[int]) -> int:
    """The step that is shown: the one wanted where it is among `steps`, else the first."""
    return wanted if wanted is not None and wanted in steps else steps[0]
