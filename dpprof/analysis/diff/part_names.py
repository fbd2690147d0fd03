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


LAUNCH = "launch"


START_OF_STEP = "start of the step"


END_OF_STEP = "end of the step"


NOT_KNOWN = "not known"


NO_PEER = (LAUNCH, START_OF_STEP, END_OF_STEP, NOT_KNOWN, OTHERS)
"""What ends a bubble without anything that another rank does."""
