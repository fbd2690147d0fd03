"""``run.json``: the manifest of a run folder, read strictly and written atomically."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from dpprof.errors import DpprofError
from dpprof.system.inputs import BadInput, decode_json, read_regular
from dpprof.system.whole import write_whole

MANIFEST_NAME = "run.json"
SCHEMA_VERSION = 1

Source = Literal["captured", "emulated", "simulated"]


class RankPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a global rank stands in the mesh, and what it holds."""

    rank: int
    pp_rank: int
    ep_rank: int = 0
    dp_rank: int = 0
    stages: list[int] = []  # by direction
    parameter_bytes: int | None = None
    gradient_bytes: int | None = None
    optimizer_bytes: int | None = None
    activation_bytes: int | None = None  # of one chunk in flight, where it is known beforehand
    chunk_bytes: list[int] = []  # the same by direction, where directions differ
    max_allocated_bytes: int | None = None  # torch's own peak over the profiled steps (CUDA)
    memory_snapshot: str | None = None  # file in the run folder


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of the steps that the trace marks (``ProfilerStep#n``)."""

    warmup: list[int] = []
    measured: list[int] = []


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a run that its traces do not say.

    `schedule` is the JSON form of a schedule, or null for a loop that has none. `sizes` is the
    model's configuration, `costs` the cost profile of an emulated run (JSON form), `versions` of
    Python, torch and dpprof.
    """

    schema_version: int
    source: Source
    schedule: dict[str, Any] | None
    device: str
    world_size: int
    ranks: list[RankPlace]
    mesh: dict[str, int] = {}  # pp, ep, dp
    micro_batches: int | None = None
    tokens_per_step: int | None = None
    flops_per_step: float | None = None
    sizes: dict[str, Any] = {}
    costs: dict[str, Any] | None = None
    steps: Steps = Steps()
    seed: int | None = None
    # By layer: the rows that each expert got, over all steps and ranks of the run.
    expert_load: list[list[int]] = []
    losses: list[float] = []  # one per step, warm-up steps included
    versions: dict[str, str] = {}
    device_name: str = ""
    commit: str | None = None
    created: str = ""  # ISO 8601, UTC
    command: list[str] = []
    notes: list[str] = []


def check_manifest_fields(fields: Mapping[str, Any]) -> None:
    """Raise `DpprofError` for a field that a manifest does not have or a value it cannot hold."""
    known = Manifest.__struct_fields__
    unknown = sorted(fields.keys() - set(known))
    if unknown:
        nearest = difflib.get_close_matches(unknown[0], known, n=1)
        meant = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise DpprofError(
            f"run.json has no field {unknown[0]!r}{meant} The fields are {', '.join(known)}"
        )
    for name, value in fields.items():
        type_of = Manifest.__annotations__[name]
        try:
            msgspec.convert(msgspec.to_builtins(value), _FIELD_TYPES[name])
        except (msgspec.ValidationError, TypeError) as error:
            raise DpprofError(f"run.json field {name!r}: {error}; give it as {type_of}") from error


_FIELD_TYPES = typing.get_type_hints(Manifest)


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write ``folder/run.json``, whole or not at all."""
    path = folder / MANIFEST_NAME
    write_whole(path, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    return path


def read_manifest(path: Path) -> Manifest:
    """Read a ``run.json``; raises `DpprofError` that names the file and the field."""
    try:
        manifest = decode_json(read_regular(path), Manifest)
        _check_places(manifest)
    except OSError as error:
        raise DpprofError(f"{path}: cannot be read ({error.strerror})") from error
    except BadInput as error:
        raise DpprofError(
            f"{path}: not a dpprof manifest ({error}); profile the run again, or delete this file "
            "to analyze the traces without it"
        ) from error
    if manifest.schema_version > SCHEMA_VERSION:
        raise DpprofError(
            f"{path}: written by a newer dpprof (schema {manifest.schema_version}, this one reads "
            f"{SCHEMA_VERSION}); upgrade dpprof"
        )
    return manifest


def _check_places(manifest: Manifest) -> None:
    """What types alone do not say, and analyses rely on; raises `BadInput`."""
    pp = (manifest.schedule or {}).get("pp", manifest.mesh.get("pp"))
    ranks = [place.rank for place in manifest.ranks]
    if len(set(ranks)) < len(ranks) or any(rank < 0 for rank in ranks):
        raise BadInput("ranks: a rank is there twice, or below 0")
    for place in manifest.ranks:
        if isinstance(pp, int) and not 0 <= place.pp_rank < pp:
            raise BadInput(f"rank {place.rank}: pp_rank is {place.pp_rank} of {pp}")
        if any(stage < 0 for stage in place.stages):
            raise BadInput(f"rank {place.rank}: a stage below 0")
