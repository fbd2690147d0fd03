"""A running capture: a trace of this rank, and ``run.json``.

Nothing here may hurt the training around it: no rank waits for another, whatever can be checked is
checked on entering, and what goes wrong later is a warning.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from dpprof.errors import DpprofError
from dpprof.instrument.adapters.contract import Pipeline
from dpprof.instrument.adapters.patching import Tell, ignore, listen
from dpprof.instrument.adapters.registry import switch_on_all
from dpprof.instrument.description import describe, device_of, write_run_manifest
from dpprof.instrument.folder import claim_folder, release, trace_of
from dpprof.instrument.history import write_memory_history
from dpprof.instrument.labels import LabelRecorder, start_recording, stop_recording
from dpprof.instrument.memory_before import held_on_host
from dpprof.instrument.options import CaptureOptions
from dpprof.instrument.step_before import StepBefore
from dpprof.instrument.termination import OnTermination
from dpprof.instrument.torch_profiler import (
    Guard,
    has_accelerator,
    has_cuda,
    make_profiler,
    range_class,
    refuse_second,
)
from dpprof.instrument.trace_writer import TraceWriter
from dpprof.instrument.world import World
from dpprof.runs.manifest import RankPlace


class CaptureWarning(UserWarning):
    """What a capture could not do; the training around it goes on."""


def _warn(text: str) -> None:
    warnings.warn(text, CaptureWarning, stacklevel=3)


_running: list[Capture] = []


class Capture:
    """A running capture; `step` ends a training step. Has state because a profiler does.

    `tell` gets what the user should know, in words. `on_second` is called when the job begins a
    profiler of its own; without it that is an error, raised there.
    """

    def __init__(
        self,
        folder: Path,
        options: CaptureOptions,
        world: World,
        tell: Callable[[str], None] = _warn,
        on_second: Callable[[], None] | None = None,
    ) -> None:
        if _running:
            raise DpprofError(
                f"a capture into {_running[-1].folder} is running already, and torch has one "
                "profiler a process; leave its block first"
            )
        refuse_second()
        self.options, self.world = options, world
        self.folder: Path = claim_folder(folder, world, overwrite=options.overwrite)
        if self.folder != folder:
            tell(f"{folder}: holds a run already, so this capture goes to {self.folder}")
        self.losses: list[float] = []
        self.manifest_fields: dict[str, Any] = dict(options.manifest)
        self._tell = tell
        self._done = 0
        self._closed = False
        self._process = os.getpid()
        self._place = options.place or RankPlace(rank=world.rank, pp_rank=world.rank)
        self._work = Path(tempfile.mkdtemp(prefix="dpprof-"))
        self._export = self._work / "export.json"
        # On CPUs, adapters label every message with what the shapes would say.
        shapes = not options.adapters or device_of(options) != "cpu"
        self._unrecorded = options.unrecorded if has_cuda() else options.warmup
        self._profiler = make_profiler(
            self._unrecorded, self._wanted, self._take_trace, shapes=shapes
        )
        self._recorder = LabelRecorder(threading.get_ident(), range_class())
        target = trace_of(self.folder, self._place.rank)
        self._before = None if has_cuda() or not options.lead_in else StepBefore()
        self._writer = TraceWriter(self._export, target, self._recorder, self._before)
        self._recorded = self._writing = False
        self._guard = Guard(self._profiler, on_second or _refuse)
        self._termination = OnTermination(self.close)
        self._fault = ""
        self._learned = False
        self._before_bytes = 0

    def start(self) -> None:
        """Start the profiler; labels are recorded from here on."""
        if self.options.adapters:
            switch_on_all()
        self._count_memory()
        self._profiler.start()
        _running.append(self)
        start_recording(self._recorder)
        listen(self._learn)
        self._guard.start()
        self._termination.start()

    def step(self, loss: float | None = None) -> None:
        """End a training step; `loss` goes into the manifest where it is known here."""
        if loss is not None:
            self.losses.append(loss)
        if self._closed or self._fault or self._done >= self._wanted:
            return
        try:
            self._profiler.step()
        except (RuntimeError, OSError) as error:
            self._give_up(f"the profiler failed in step {self._done} ({error})")
            return
        self._done += 1
        if self._before is not None and self._done <= self.options.warmup:
            self._before.ended(self._done - 1)
        if self._done == self._unrecorded:
            self._recorder.spans.clear()
            self._recorder.readings.clear()
        elif self._done == self._wanted:
            self._stop_profiler()

    @property
    def is_complete(self) -> bool:
        """Whether all steps that were asked for are recorded."""
        return self._done == self._wanted

    @property
    def is_compressed(self) -> bool:
        """Whether leaving would not take long."""
        return self._writing and not self._writer.is_busy

    @property
    def steps_done(self) -> int:
        """How many steps have ended, those of the warm-up included."""
        return self._done

    def close(self) -> bool:
        """Stop, and write what is complete; whether anything was written. Tells what was not."""
        if self._closed or os.getpid() != self._process:
            return False
        self._closed = True
        self._termination.hold()
        self._stop_profiler()
        written = self._write() if self._is_worth_writing() else False
        self._writer.discard()
        release(self.folder, self.world, written=written)
        shutil.rmtree(self._work, ignore_errors=True)
        self._profiler = None  # a gigabyte for a million events
        self._termination.stop()
        return written

    def set_place(self, **changes: Any) -> None:
        """Fill in what is known of this rank only at the end, such as torch's own memory peak."""
        self._place = msgspec.structs.replace(self._place, **changes)

    @property
    def place(self) -> RankPlace:
        """Where this rank stands, as far as it is known by now."""
        return self._place

    def learn(self, pipeline: Pipeline) -> None:
        """Take over what a framework says of the pipeline, where nothing else was said."""
        self._learned = True
        if self.options.place is None:
            self.set_place(
                pp_rank=pipeline.pp_rank, dp_rank=pipeline.dp_rank, stages=list(pipeline.stages)
            )
        fields = {
            "schedule": pipeline.schedule,
            "micro_batches": pipeline.micro_batches,
            "mesh": {"pp": pipeline.pp, "dp": max(self.world.size // pipeline.pp, 1)},
        }
        for name, value in fields.items():
            if value is not None:
                self.manifest_fields.setdefault(name, value)

    def _learn(self, adapter: str, tell: Tell) -> None:
        if self._learned:
            return
        pipeline = tell()
        if pipeline is not None:
            self.learn(pipeline)

    @property
    def _wanted(self) -> int:
        return self.options.warmup + self.options.steps

    def _count_memory(self) -> None:
        given = self.options.allocated_before_bytes
        self._before_bytes = given or 0
        if given is not None or device_of(self.options) != "cpu":
            return
        held = held_on_host()
        self._before_bytes = held.bytes
        if self._place.parameter_bytes is None and held.parameter_bytes:
            self.set_place(parameter_bytes=held.parameter_bytes)

    def _stop_profiler(self) -> None:
        """Stop recording, once; it is written from here on if any step was recorded."""
        if self not in _running:
            return
        _running.remove(self)
        stop_recording(self._recorder)
        ignore(self._learn)
        self._guard.stop()
        if self._done <= self.options.warmup:
            self._profiler.on_trace_ready = None
        try:
            self._profiler.stop()
        except (RuntimeError, OSError) as error:
            self._fault = self._fault or f"the profiler failed to stop ({error})"
        if self._recorded and not self._fault:
            self._writing = True
            self._writer.start(self._export_trace, fork=not has_accelerator())

    def _take_trace(self, profiler: Any) -> None:
        self._recorded = True

    def _export_trace(self, path: str) -> None:
        self._profiler.export_chrome_trace(path)

    def _give_up(self, fault: str) -> None:
        self._fault = fault
        self._stop_profiler()

    def _is_worth_writing(self) -> bool:
        seen = f"the capture saw {self._done} of {self._wanted} steps"
        if self._fault:
            self._tell(f"{self._fault}: nothing is written to {self.folder}")
        elif self._done <= self.options.warmup:
            self._tell(
                f"{seen}, {self.options.warmup} of them warm-up, and has nothing to write; call "
                "capture.step() once per training step, or ask for fewer steps"
            )
        elif not self._writing:
            self._tell(f"another profiler has taken the trace: nothing is written to {self.folder}")
        else:
            if self._done < self._wanted:
                self._tell(f"{seen}: {self._done - self.options.warmup} are in {self.folder}")
            return True
        return False

    def _write(self) -> bool:
        try:
            if self.options.memory_history:
                name = write_memory_history(self.folder, self._place.rank)
                self.set_place(memory_snapshot=name)
            self._writer.finish(describe(self, self._before_bytes))
            write_run_manifest(self)
        except (DpprofError, OSError) as error:
            self._tell(f"the capture is lost: {error}")
            return False
        return True


def _refuse() -> None:
    raise DpprofError(
        "a dpprof capture is running, and torch has one profiler a process: begin torch.profiler "
        "outside its block, or leave one of the two out"
    )
