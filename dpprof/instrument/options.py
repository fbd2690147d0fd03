"""What a capture is asked for, checked before anything runs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from dpprof.errors import DpprofError
from dpprof.instrument.world import World
from dpprof.runs.manifest import RankPlace, Source, check_manifest_fields
from dpprof.schedules.form import schedule_to_json
from dpprof.schedules.registry import make_schedule


@dataclass(frozen=True, kw_only=True)
class CaptureOptions:
    """What a capture records besides the trace.

    `warmup` steps run under the profiler and are dropped, then `steps` are recorded. The last
    warm-up step is in the trace too, unless `lead_in` is off: ranks of a pipeline end their steps
    one after the other, and only a step before says where the first one begins. On a CPU it is
    a mark alone; with a GPU, on which its work may last longer, it is recorded, if two or more
    are asked for. With
    `memory_history`, what `start_memory_history` has begun is written beside the trace.
    `allocated_before_bytes` is what the rank's tensors held when the capture began, which a CPU
    trace cannot know: where it is None, the tensors that Python knows are counted. `manifest`
    holds further fields of `dpprof.runs.manifest.Manifest`; its schedule may be a name. With
    `overwrite`, a run that is there already is replaced instead of written beside. Without
    `adapters`, frameworks are not labelled: the loop labels all that it does.
    """

    warmup: int = 2
    steps: int = 3
    place: RankPlace | None = None
    source: Source = "captured"
    device: str = ""
    allocated_before_bytes: int | None = None
    memory_history: bool = False
    overwrite: bool = False
    lead_in: bool = True
    adapters: bool = True
    manifest: dict[str, Any] = field(default_factory=dict)

    @property
    def unrecorded(self) -> int:
        """Warm-up steps that are not in the trace."""
        return self.warmup - (self.lead_in and self.warmup > 1)

    def __post_init__(self) -> None:
        if self.warmup < 1 or self.steps < 1:
            raise DpprofError(
                f"capture(warmup={self.warmup}, steps={self.steps}): both must be at least 1; the "
                "profiler's first step is never a fair one"
            )


def read_options(given: Mapping[str, Any], world: World) -> CaptureOptions:
    """The options of one capture; raises `DpprofError` that names the option that is wrong."""
    known = [one.name for one in fields(CaptureOptions)]
    unknown = sorted(given.keys() - set(known))
    if unknown:
        nearest = difflib.get_close_matches(unknown[0], known, n=1)
        meant = f"; did you mean {nearest[0]!r}?" if nearest else ";"
        raise DpprofError(
            f"capture has no option {unknown[0]!r}{meant} The options are {', '.join(known)}"
        )
    manifest = with_schedule(given.get("manifest", {}), world)
    check_manifest_fields(manifest)
    return CaptureOptions(**{**given, "manifest": manifest})


def with_schedule(manifest: Mapping[str, Any], world: World) -> dict[str, Any]:
    """The manifest's fields with the JSON form of a schedule that is given by its name."""
    name = manifest.get("schedule")
    if not isinstance(name, str):
        return dict(manifest)
    micro_batches = manifest.get("micro_batches")
    if not isinstance(micro_batches, int):
        raise DpprofError(
            f"manifest={{'schedule': {name!r}}}: a schedule by name needs its micro_batches too: "
            f"manifest={{'schedule': {name!r}, 'micro_batches': 8}}"
        )
    pp = (manifest.get("mesh") or {}).get("pp", world.size)
    form = schedule_to_json(make_schedule(name, pp, micro_batches))
    return {**manifest, "schedule": form}
