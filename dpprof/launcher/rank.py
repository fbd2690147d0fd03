"""In each process of the job: counts training steps, and captures the windows that are wanted."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable
from multiprocessing import util
from pathlib import Path
from typing import Any

from dpprof.errors import DpprofError
from dpprof.instrument.adapters.imports import watch
from dpprof.instrument.adapters.patching import Tell, listen, on_failure
from dpprof.instrument.adapters.plain_loops import NAME as OPTIMIZER
from dpprof.instrument.adapters.registry import find_adapters, switch_on
from dpprof.instrument.options import CaptureOptions
from dpprof.instrument.session import Capture
from dpprof.instrument.world import find_world
from dpprof.launcher.notes import Note, Notebook
from dpprof.launcher.settings import Settings, read_settings
from dpprof.launcher.trackers import Trackers, watch_for_writers
from dpprof.launcher.windows import Windows


def begin() -> None:
    """Start to watch this process; called once torch has been imported."""
    settings = read_settings(os.environ)
    notebook = Notebook(Path(settings.notes))
    on_failure(
        lambda adapter, error: notebook.write(
            Note("note", text=f"adapter {adapter}: {type(error).__name__}: {error}")
        )
    )
    session = Session(settings, notebook)
    listen(session.step_ended)
    adapters = [one for one in find_adapters() if _is_wanted(one.name, settings.adapters)]
    switch_on(adapters, watch.wait_for)
    watch_for_writers()
    os.register_at_fork(after_in_child=session.forget)
    atexit.register(session.close)


def _is_wanted(name: str, wanted: list[str]) -> bool:
    return not wanted or name in wanted or name == "messages"


class Session:
    """The windows of one process. Has state, as it counts; never raises into the training."""

    def __init__(self, settings: Settings, notebook: Notebook) -> None:
        self._settings, self._notebook = settings, notebook
        self._windows = Windows(settings)
        self._trackers = Trackers(Path(settings.notes))
        self._capture: Capture | None = None
        self._source = ""
        self._seen = 0
        self._last = time.perf_counter()
        self._off = False

    def step_ended(self, adapter: str, tell: Tell) -> None:
        """A framework has ended a step; the most special one that says so counts."""
        if self._off or not self._counts(adapter):
            return
        try:
            self._step(tell)
        except Exception as error:  # noqa: BLE001 - the training goes on, whatever this is
            self._fail(error)

    def close(self) -> None:
        """Write what is complete, at the end of the process."""
        try:
            self._finish()
            self._trackers.look(now=True)
        except Exception as error:  # noqa: BLE001 - the job ends as it would have
            self._fail(error)

    def forget(self) -> None:
        """In a forked child: what the parent captures is not the child's."""
        self._capture = None
        self._source, self._seen = "", 0

    def _counts(self, adapter: str) -> bool:
        if not self._source or (self._source == OPTIMIZER != adapter and self._capture is None):
            self._source = adapter
            self._seen = 0
            self._notebook.write(Note("trains", adapter=adapter, rank=find_world().rank))
        return adapter == self._source

    def _step(self, tell: Tell) -> None:
        self._seen += 1
        now = time.perf_counter()
        self._windows.took(now - self._last)
        self._last = now
        self._trackers.look()
        capture = self._capture
        if capture is not None and not capture.is_complete:
            capture.step()
            if capture.is_complete:
                self._notebook.write(Note("recorded", rank=capture.world.rank))
        elif capture is not None and capture.is_compressed:
            self._finish()
        if self._capture is None and self._windows.begins_after(self._seen):
            self._begin(tell)
        self._last = time.perf_counter()

    def _begin(self, tell: Tell) -> None:
        settings = self._settings
        options = CaptureOptions(
            warmup=settings.warmup, steps=settings.steps, memory_history=self._takes_memory()
        )
        folder = self._windows.folder(self._seen)
        capture = Capture(folder, options, find_world(), self._say, self._yield_to_other)
        self._capture = capture
        # Children of multiprocessing end without atexit, but with what they registered themselves.
        util.Finalize(None, self.close, exitpriority=100)
        capture.start()
        pipeline = tell()
        if pipeline is not None:
            capture.learn(pipeline)

    def _takes_memory(self) -> bool:
        if not self._settings.memory:
            return False
        from dpprof.instrument.history import start_memory_history

        try:
            start_memory_history()
        except DpprofError as error:
            self._say(f"--memory: {error}")
            return False
        return True

    def _yield_to_other(self) -> None:
        self._say("the job begins a profiler of its own: dpprof's window ends there")
        self.close()

    def _finish(self) -> None:
        capture, self._capture = self._capture, None
        if capture is not None and capture.close():
            where, tracked = capture.folder, self._trackers.expect(capture.folder, self._seen)
            self._notebook.write(
                Note("wrote", folder=str(where), rank=capture.world.rank, tracked=tracked)
            )

    def _say(self, text: str) -> None:
        self._notebook.write(Note("note", text=text))

    def _fail(self, error: Exception) -> None:
        self._off = True
        expected = isinstance(error, DpprofError)
        text = str(error) if expected else f"{type(error).__name__}: {error}; please report it"
        self._notebook.write(Note("failed", text=text))
        capture, self._capture = self._capture, None
        if capture is not None:
            _quietly(capture.close)


def _quietly(act: Callable[[], Any]) -> None:
    try:
        act()
    except Exception:  # noqa: BLE001 - it has failed once already, which was told
        return
