"""Loads a cost profile by name or from a JSON or TOML file, strictly."""

from __future__ import annotations

import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from dpprof.costs.check import check_keys, check_values
from dpprof.costs.profile import CostProfile
from dpprof.costs.shape import costs_from_plain, unknown_times
from dpprof.errors import DpprofError
from dpprof.system.inputs import BadInput, read_named


def builtin_costs() -> tuple[str, ...]:
    """Names of the cost profiles that come with dpprof, sorted."""
    files = resources.files("dpprof.costs").iterdir()
    return tuple(sorted(file.name[:-5] for file in files if file.name.endswith(".json")))


def load_costs(text: str, ep: int | None = None) -> CostProfile:
    """The built-in profile of that name, or the one in that file (``.toml``, else JSON).

    `ep` ranks are to share the experts, which only a file with a model's shape can say. Raises
    `DpprofError` naming the file and the field for anything that is not a valid profile.
    """
    data, where = _read(text)
    return read_costs(data, where, ep)


def times_unknown(text: str, ep: int) -> str:
    """Why the costs `text` say no times where `ep` ranks share the experts; empty: they do.

    Raises `DpprofError` as `load_costs` does.
    """
    load_costs(text, ep)
    data, where = _read(text)
    return unknown_times(_plain(data, where), ep)


def _read(text: str) -> tuple[bytes, str]:
    """What the profile of that name, or the file, holds; and what errors call it."""
    if text in builtin_costs():
        data = resources.files("dpprof.costs").joinpath(f"{text}.json").read_bytes()
        return data, f"built-in costs {text}"
    path = Path(text)
    if path.is_dir():
        raise DpprofError(f"{text}: a folder, not a cost profile; name a JSON or TOML file")
    try:
        return read_named(path), text
    except BadInput as error:
        raise DpprofError(f"{text}: {error}, so not a cost profile") from error
    except FileNotFoundError as error:
        raise DpprofError(
            f"{text}: no cost profile of that name and no such file; built in are "
            f"{', '.join(builtin_costs())}"
        ) from error
    except OSError as error:
        raise DpprofError(f"{text}: cannot be read ({error.strerror})") from error


def read_costs(data: bytes, where: str, ep: int | None = None) -> CostProfile:
    """Read the JSON form, or TOML where `where` ends so; `where` names the place in errors.

    `ep` as in `load_costs`.
    """
    plain = _plain(data, where)
    if isinstance(plain, dict) and "shape" in plain:
        profile = costs_from_plain(plain, where, ep)
        check_values(profile, where)
        return profile
    if ep is not None:
        raise DpprofError(
            f"{where}: nobody measured what its parts take where {ep} ranks share the experts; "
            "leave --ep out, or give a file with the model's shape and rates"
        )
    check_keys(plain, where)
    try:
        profile = msgspec.convert(plain, CostProfile)
    except (msgspec.ValidationError, RecursionError) as error:
        raise DpprofError(
            f"{where}: not a cost profile ({error}); dpprof/costs/unit.json is an example"
        ) from error
    check_values(profile, where)
    return profile


def _plain(data: bytes, where: str) -> Any:
    form = "TOML" if where.lower().endswith(".toml") else "JSON"
    try:
        return (tomllib.loads if form == "TOML" else json.loads)(data.decode())
    except (ValueError, RecursionError) as error:  # bad UTF-8, JSON and TOML are ValueErrors
        raise DpprofError(f"{where}: not {form} ({error}); correct or replace the file") from error


def costs_to_json(profile: CostProfile) -> str:
    """The JSON form of a profile, read back identically by `load_costs`."""
    return msgspec.json.format(msgspec.json.encode(profile), indent=2).decode() + "\n"
