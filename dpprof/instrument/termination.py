"""SIGTERM while a capture runs: what is complete is written, then the job ends as it would have."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class OnTermination:
    """Has `save` called before the job's own answer to SIGTERM; has state as handlers do.

    Between `hold` and `stop` the signal waits: nothing that is being written is cut off.
    """

    def __init__(self, save: Callable[[], object]) -> None:
        self._save = save
        self._process = os.getpid()
        self._before: Any = None
        self._set = self._held = self._came = False

    def start(self) -> None:
        """Take the signal over, unless it is ignored or this is not the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        before = signal.getsignal(signal.SIGTERM)
        if before is signal.SIG_IGN or before is None:
            return
        self._before, self._set = before, True
        signal.signal(signal.SIGTERM, self._handle)

    def hold(self) -> None:
        """Let the signal wait until `stop`."""
        self._held = True

    def stop(self) -> None:
        """Give the signal back, unless the job has taken it meanwhile; one that came comes now."""
        own_thread = threading.current_thread() is threading.main_thread()
        if self._set and own_thread and signal.getsignal(signal.SIGTERM) == self._handle:
            signal.signal(signal.SIGTERM, self._before)
        self._set = self._held = False
        if self._came:
            self._came = False
            os.kill(os.getpid(), signal.SIGTERM)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() == self._process:  # a forked child is no part of the capture
            if self._held:
                self._came = True
                return
            self._save()
        before = self._before
        self.stop()
        if callable(before):
            before(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
