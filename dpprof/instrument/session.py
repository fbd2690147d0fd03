"""``with dpprof.capture(folder) as capture: ...``: a trace per rank, and ``run.json``."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

import dpprof
from dpprof.errors import DpprofError
from dpprof.instrument.history import write_memory_history
from dpprof.instrument.labels import LabelRecorder, start_recording, stop_recording
from dpprof.instrument.merge import write_rank_trace
from dpprof.runs.manifest import (
    MANIFEST_NAME,
    SCHEMA_VERSION,
    Manifest,
    RankPlace,
    Source,
    Steps,
    check_manifest_fields,
    write_manifest,
)


@dataclass(frozen=True, kw_only=True)
class CaptureOptions:
    """What a capture records besides the trace.

    `warmup` steps run under the profiler without being kept, then `steps` are recorded. With
    `memory_history`, what `start_memory_history` has begun is written beside the trace.
    `allocated_before_bytes` is what the rank's tensors held when the capture began, which a CPU
    trace cannot know. `manifest` holds further fields of `dpprof.runs.manifest.Manifest`.
    """

    warmup: int = 1
    steps: int = 3
    place: RankPlace | None = None
    source: Source = "captured"
    device: str = ""
    allocated_before_bytes: int = 0
    memory_history: bool = False
    manifest: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.warmup < 1 or self.steps < 1:
            raise DpprofError(
                f"capture(warmup={self.warmup}, steps={self.steps}): both must be at least 1; the "
                "profiler's first step is never a fair one"
            )
        check_manifest_fields(self.manifest)


class Capture:
    """A running capture; `step` ends a training step. Has state because a profiler does."""

    def __init__(self, folder: Path, options: CaptureOptions) -> None:
        self.folder = folder
        self.options = options
        self.losses: list[float] = []
        self.manifest_fields: dict[str, Any] = dict(options.manifest)
        self._done = 0
        self._work = Path(tempfile.mkdtemp(prefix="dpprof-"))
        self._export = self._work / "export.json"
        self._place = _own_place(options)
        self._profiler = self._make_profiler()
        self._recorder = LabelRecorder(threading.get_ident(), _range_class())

    def step(self, loss: float | None = None) -> None:
        """End a training step; `loss` goes into the manifest where it is known here."""
        if loss is not None:
            self.losses.append(loss)
        if self._done < self.options.warmup + self.options.steps:
            self._profiler.step()
            self._done += 1
            if self._done == self.options.warmup:
                self._recorder.spans.clear()
                self._recorder.readings.clear()
            elif self._done == self.options.warmup + self.options.steps:
                stop_recording(self._recorder)

    def start(self) -> None:
        """Start the profiler; labels are recorded from here on."""
        self._profiler.start()
        start_recording(self._recorder)

    def finish(self) -> None:
        """Stop, and write this rank's trace and, on rank 0, ``run.json``."""
        stop_recording(self._recorder)
        self._profiler.stop()
        if self._done <= self.options.warmup:
            raise DpprofError(
                f"the capture saw {self._done} of {self.options.warmup + self.options.steps} "
                f"steps, {self.options.warmup} of them warm-up, and has nothing to write; call "
                "capture.step() once per training step, or ask for fewer steps"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        metadata = {
            "source": self.options.source,
            "device": self._device(),
            "rank": self._place.rank,
            "pp_rank": self._place.pp_rank,
            "ep_rank": self._place.ep_rank,
            "host": platform.node(),
            "allocated_before_bytes": self.options.allocated_before_bytes,
        }
        target = self.folder / f"rank{self._place.rank}.json.gz"
        write_rank_trace(self._export, target, self._recorder, metadata)
        if self.options.memory_history:
            name = write_memory_history(self.folder, self._place.rank)
            self._place = msgspec.structs.replace(self._place, memory_snapshot=name)
        places = _gather(self._place)
        if self._place.rank == min(place.rank for place in places):
            write_manifest(self.folder, self._manifest(places))

    def abandon(self) -> None:
        """Stop without writing anything."""
        stop_recording(self._recorder)
        self._profiler.on_trace_ready = None
        self._profiler.stop()

    def clean(self) -> None:
        """Remove the working files."""
        shutil.rmtree(self._work, ignore_errors=True)

    def set_place(self, **changes: int) -> None:
        """Fill in what is known of this rank only at the end, such as torch's own memory peak."""
        self._place = msgspec.structs.replace(self._place, **changes)

    def _device(self) -> str:
        return self.options.device or ("cuda" if _cuda() else "cpu")

    def _manifest(self, places: list[RankPlace]) -> Manifest:
        import torch

        steps = range(self._done)
        fields: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "source": self.options.source,
            "schedule": None,
            "device": self._device(),
            "device_name": _device_name(self._device()),
            "world_size": len(places),
            "ranks": places,
            "steps": Steps(
                warmup=list(steps[: self.options.warmup]),
                measured=list(steps[self.options.warmup :]),
            ),
            "losses": self.losses,
            "versions": {
                "dpprof": dpprof.__version__,
                "torch": str(torch.__version__),
                "python": platform.python_version(),
            },
            "commit": _commit(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": ["dpprof" if _is_dpprof() else Path(sys.argv[0]).name, *sys.argv[1:]],
        }
        return Manifest(**(fields | self.manifest_fields))

    def _make_profiler(self) -> Any:
        from torch.profiler import ProfilerActivity, profile, schedule

        activities = [ProfilerActivity.CPU]
        if _cuda():
            activities.append(ProfilerActivity.CUDA)
        return profile(
            activities=activities,
            profile_memory=True,
            schedule=schedule(
                wait=0, warmup=self.options.warmup, active=self.options.steps, repeat=1
            ),
            on_trace_ready=lambda profiler: profiler.export_chrome_trace(str(self._export)),
        )


@contextmanager
def capture(folder: str | os.PathLike[str], **options: Any) -> Iterator[Capture]:
    """Capture `warmup` + `steps` training steps of this rank into `folder`.

    Options are the fields of `CaptureOptions`. Writes ``rank<r>.json.gz`` and, from the lowest
    rank, ``run.json``; where torch.distributed is initialised every rank must leave the block.
    Nothing is written if the block raises. Raises `DpprofError` if `folder` already holds a run.
    """
    if importlib.util.find_spec("torch") is None:
        raise DpprofError("capturing needs torch: pip install 'dpprof[profile]'")
    target = Path(folder)
    if (target / MANIFEST_NAME).exists():
        raise DpprofError(f"{target}: already holds a run; choose another folder or remove it")
    session = Capture(target, CaptureOptions(**options))
    try:
        session.start()
        try:
            yield session
        except BaseException:
            session.abandon()
            raise
        session.finish()
    finally:
        session.clean()


def _range_class() -> Any:
    """The cheapest profiler range there is: 1 µs where torch has the fast one, else 10 µs."""
    import torch

    fast = getattr(torch._C._profiler, "_RecordFunctionFast", None)
    return fast or torch.profiler.record_function


def _cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _device_name(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else platform.processor() or "CPU"


def _is_dpprof() -> bool:
    """Whether this is the command line's own process, or a rank that it started."""
    path = Path(sys.argv[0])
    return path.name == "dpprof" or path.parts[-2:] == ("dpprof", "__main__.py")


def _commit() -> str | None:
    """The commit of the code in the working folder; None where there is none."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _own_place(options: CaptureOptions) -> RankPlace:
    if options.place is not None:
        return options.place
    import torch.distributed

    ready = torch.distributed.is_available() and torch.distributed.is_initialized()
    rank = torch.distributed.get_rank() if ready else int(os.environ.get("RANK", "0"))
    return RankPlace(rank=rank, pp_rank=rank)


def _gather(place: RankPlace) -> list[RankPlace]:
    import torch.distributed

    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [place]
    places: list[RankPlace] = [place] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(places, place)
    return sorted(places, key=lambda other: other.rank)
