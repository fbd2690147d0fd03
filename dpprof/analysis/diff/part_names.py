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


APPEARED = "appeared"


WENT = "went"


MOVED_HERE = "moved here"


MOVED_AWAY = "moved away"


CLASSES = (SAME, APPEARED, WENT, MOVED_HERE, MOVED_AWAY)
