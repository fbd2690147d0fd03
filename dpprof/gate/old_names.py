"""Baselines of older versions: the figures that had other names then."""

from __future__ import annotations

from typing import Any

_STATES = {
    "compute": "compute_only",
    "bubble.skew": "bubble.straggler",
    "bubble.drain": "bubble.cooldown",
}
_TO_2 = {
    **{
        f"{old}_{unit}": f"{new}_{unit}" for old, new in _STATES.items() for unit in ("ns", "share")
    },
    "computing_ns": "compute_ns",
    "computing_share": "compute_share",
    "unsplit_communication_ns": "including_wait.communication_ns",
    "unsplit_hidden_ns": "including_wait.hidden_ns",
    "unsplit_hidden_share": "including_wait.hidden_share",
}
"""Name in version 1 -> name in version 2."""


def renamed(baseline: dict[str, Any]) -> dict[str, Any]:
    """The content of a baseline file with the names of today; of the wrong form it stays as is."""
    if baseline.get("schema_version") != 1:
        return baseline
    result = dict(baseline)
    for key in ("job", "ranks", "missing"):
        if isinstance(figures := baseline.get(key), dict):
            result[key] = {_TO_2.get(name, name): value for name, value in figures.items()}
    if isinstance(names := baseline.get("nothing"), list):
        result["nothing"] = [
            _TO_2.get(name, name) if isinstance(name, str) else name for name in names
        ]
    return result
