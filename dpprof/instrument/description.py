"""What a capture says of itself: in each rank's trace, and in the run's manifest."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import dpprof
from dpprof.instrument.options import CaptureOptions
from dpprof.instrument.torch_profiler import has_cuda
from dpprof.runs.manifest import MANIFEST_NAME, SCHEMA_VERSION, Manifest, Steps, write_manifest

if TYPE_CHECKING:
    from dpprof.instrument.session import Capture


def device_of(options: CaptureOptions) -> str:
    """``cuda`` or ``cpu``, unless the options say it."""
    return options.device or ("cuda" if has_cuda() else "cpu")


def describe(capture: Capture, allocated_before_bytes: int) -> dict[str, Any]:
    """What goes into a rank's own trace: enough to read it without the others."""
    place = capture.place
    return {
        "source": capture.options.source,
        "device": device_of(capture.options),
        "rank": place.rank,
        "pp_rank": place.pp_rank,
        "ep_rank": place.ep_rank,
        "place": msgspec.to_builtins(place),
        "world_size": capture.world.size,
        "host": platform.node(),
        "allocated_before_bytes": allocated_before_bytes,
    }


def write_run_manifest(capture: Capture) -> None:
    """Write ``run.json``: rank 0's counts; of others the first, where rank 0 has written none."""
    manifest, folder = run_manifest(capture), capture.folder
    if capture.place.rank == 0:
        write_manifest(folder, manifest)
        return
    if (folder / MANIFEST_NAME).exists():
        return
    own = folder / f".{MANIFEST_NAME}.{capture.place.rank}"
    own.mkdir(exist_ok=True)
    try:
        os.link(write_manifest(own, manifest), folder / MANIFEST_NAME)
    except FileExistsError:
        return
    finally:
        (own / MANIFEST_NAME).unlink()
        own.rmdir()


def run_manifest(capture: Capture) -> Manifest:
    """The manifest as this rank knows it; of other ranks it lists nothing: their traces do."""
    import torch

    steps = range(capture.steps_done)
    options, size = capture.options, capture.world.size
    fields: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "source": options.source,
        "schedule": None,
        "device": device_of(options),
        "device_name": _device_name(device_of(options)),
        "world_size": size,
        "ranks": [capture.place] if size == 1 else [],
        "steps": Steps(
            warmup=list(steps[: options.warmup]), measured=list(steps[options.warmup :])
        ),
        "losses": capture.losses,
        "versions": {
            "dpprof": dpprof.__version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        "commit": _commit(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["dpprof" if _is_dpprof() else Path(sys.argv[0]).name, *sys.argv[1:]],
    }
    return Manifest(**(fields | capture.manifest_fields))


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
