"""Names of the parts of a change, of its classes, and of what has no peer."""

from __future__ import annotations

STEP_PART = "step"


COMPUTING = "computing"


EXPOSED = "exposed"


BUBBLE = "bubble"


TRANSFERS = "transfers"


HIDDEN_PART = "hidden under computing"


UNDER_OTHERS = "under other transfers"


ACTIVITY = "activity"


CRITICAL_PATH = "critical path"


OTHERS = "others"


SAME = "same work"


ADDED = "added"


REMOVED = "removed"


MOVED_IN = "moved in"


MOVED_OUT = "moved out"


CLASSES = (SAME, ADDED, REMOVED, MOVED_IN, MOVED_OUT)
