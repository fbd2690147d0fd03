"""What makes two runs comparable: devices, sizes, schedule and versions must be the same."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from dpprof.analysis.model import Report
from dpprof.costs.profile import CostProfile
from dpprof.errors import DpprofError
from dpprof.gate.snapshot import RunIdentity
from dpprof.runs.manifest import Manifest
from dpprof.runs.run import Run

_MODELLED = ("emulated", "simulated")
_DIGEST = 12
_VERSIONS = ("python", "torch", "cuda", "nccl", "hip")


def identity_of(run: Run, report: Report) -> RunIdentity:
    """What a run says of itself. Modelled times do not depend on machine and versions."""
    manifest = run.manifest
    measured = manifest is not None and report.source not in _MODELLED
    return RunIdentity(
        source=report.source,
        device=manifest.device if manifest else None,
        device_name=(manifest.device_name or None) if manifest and measured else None,
        schedule=report.schedule,
        pp=report.pp,
        micro_batches=report.micro_batches,
        world_size=report.world_size,
        ranks=[rank.rank for rank in report.ranks],
        mesh=dict(manifest.mesh) if manifest else {},
        sizes=dict(manifest.sizes) if manifest else {},
        tokens_per_step=manifest.tokens_per_step if manifest else None,
        costs=_costs(manifest) if manifest else None,
        versions=_versions(manifest) if manifest and measured else {},
    )


def _costs(manifest: Manifest) -> str | None:
    """Name and digest of a cost profile, alike for files of older and newer profiles."""
    if manifest.costs is None:
        return None
    try:
        profile = msgspec.convert(manifest.costs, CostProfile)
    except msgspec.ValidationError as error:
        raise DpprofError(f"run.json: costs: {error}; profile the run again") from error
    content = {
        name: value
        for name, value in msgspec.to_builtins(profile).items()
        if name != "source" and value not in (None, [], {}, 0)
    }
    text = json.dumps(content, sort_keys=True)
    return f"{profile.name} {hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]}"


def _versions(manifest: Manifest) -> dict[str, str]:
    """Those that times depend on; of Python without its patch level."""
    known = {name: manifest.versions[name] for name in _VERSIONS if name in manifest.versions}
    if "python" in known:
        known["python"] = ".".join(known["python"].split(".")[:2])
    return known


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """A field in which a run is not what the baseline is."""

    field: str
    baseline: Any
    run: Any

    @property
    def text(self) -> str:
        """``micro_batches is 16, the baseline has 8``."""
        return f"{self.field} is {_shown(self.run)}, the baseline has {_shown(self.baseline)}"


def mismatches(baseline: RunIdentity, run: RunIdentity) -> list[Mismatch]:
    """Every field that differs, those of tables one by one."""
    ours, theirs = _flat(baseline), _flat(run)
    return [
        Mismatch(field=field, baseline=ours.get(field), run=theirs.get(field))
        for field in dict.fromkeys([*ours, *theirs])
        if ours.get(field) != theirs.get(field)
    ]


def _flat(identity: RunIdentity) -> dict[str, Any]:
    """Fields and the keys of tables; a dimension of the mesh that is 1 is one that is not there."""
    plain = msgspec.to_builtins(identity)
    plain["mesh"] = {name: size for name, size in plain["mesh"].items() if size != 1}
    flat: dict[str, Any] = {}
    for field, value in plain.items():
        if isinstance(value, dict):
            flat |= {f"{field}.{key}": inner for key, inner in value.items()}
        else:
            flat[field] = value
    return flat


def _shown(value: Any) -> str:
    return "not known" if value is None else str(value)
