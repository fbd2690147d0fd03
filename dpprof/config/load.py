"""Finds and reads the configuration: environment ``DPPROF_*`` beats file beats default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dpprof.config.patterns import SECTION as KINDS_SECTION
from dpprof.config.patterns import read_patterns
from dpprof.config.settings import CacheSettings, Config, GateSettings, KindPattern, OutputSettings
from dpprof.config.values import READERS, check_known, wrong
from dpprof.errors import DpprofError

FILE_NAME = "dpprof.toml"
PROJECT_FILE_NAME = "pyproject.toml"
PREFIX = "DPPROF_"

_SHORT = {("cache", "enabled"): "CACHE", ("cache", "folder"): "CACHE_DIR"}
VARIABLES = {
    PREFIX + _SHORT.get((section, key), f"{section}_{key}".upper()): (section, key)
    for section, keys in READERS.items()
    for key in keys
}
"""Variable -> the section and key that it sets. Patterns are set in a file only."""

READ_ELSEWHERE = (f"{PREFIX}MAX_TRACE_BYTES",)
"""Guards that only the environment sets, where they are needed: `dpprof.trace.read.unpack`."""

_Values = dict[tuple[str, str], Any]


class ConfigFile(NamedTuple):
    """A configuration file: where it is, and what it says for dpprof."""

    file: Path
    origin: str
    content: dict[str, Any]


def load_config(folder: Path | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """The configuration in force in `folder` (default: the current one).

    Read from the nearest ``dpprof.toml``, or ``pyproject.toml`` with ``[tool.dpprof]``, from
    `folder` upwards; of two in one folder, from ``dpprof.toml``. `environment` (default: that of
    the process) beats it. Raises `DpprofError` that names the file and the key.
    """
    base = _current_folder() if folder is None else folder
    found = None if base is None else find_config(base)
    values: _Values = {}
    kinds: tuple[KindPattern, ...] = ()
    if found is not None:
        values, kinds = _from_file(found)
    values |= _from_environment(os.environ if environment is None else environment, base)
    return Config(
        kinds=kinds,
        output=OutputSettings(
            format=values.get(("output", "format")), width=values.get(("output", "width"))
        ),
        cache=CacheSettings(
            enabled=values.get(("cache", "enabled"), True),
            folder=values.get(("cache", "folder")),
            limit_bytes=values.get(("cache", "limit")),
        ),
        gate=GateSettings(
            fail_if=values.get(("gate", "fail_if"), ()),
            baseline=values.get(("gate", "baseline")),
            repeat=values.get(("gate", "repeat")),
            run_spread=values.get(("gate", "run_spread")),
        ),
        file=None if found is None else found.file,
    )


def _current_folder() -> Path | None:
    try:
        return Path.cwd()
    except FileNotFoundError:  # deleted under us
        return None


def find_config(folder: Path) -> ConfigFile | None:
    """The nearest configuration file from `folder` upwards; None where there is none."""
    for place in (folder.absolute(), *folder.absolute().parents):
        own = place / FILE_NAME
        if own.is_file():
            return ConfigFile(own, str(own), _read_toml(own))
        project = place / PROJECT_FILE_NAME
        if project.is_file():
            tool = _read_toml(project).get("tool")
            if isinstance(tool, dict) and "dpprof" in tool:
                origin = f"{project}: tool.dpprof"
                return ConfigFile(project, origin, _table(tool["dpprof"], origin))
    return None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise DpprofError(f"{file}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DpprofError(f"{file}: not valid TOML ({error}); correct it") from error


def _table(value: Any, origin: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong(origin, f"{value!r} is not a table; write keys under a [section]")
    return value


def _from_file(found: ConfigFile) -> tuple[_Values, tuple[KindPattern, ...]]:
    check_known(found.content, (KINDS_SECTION, *READERS), found.origin, "section")
    values: _Values = {}
    for section, readers in READERS.items():
        origin = f"{found.origin}: {section}"
        table = _table(found.content.get(section, {}), origin)
        check_known(table, readers, origin, "key")
        for key, value in table.items():
            values[section, key] = readers[key](value, f"{origin}.{key}", found.file.parent)
    kinds = read_patterns(found.content.get(KINDS_SECTION, []), found.origin)
    return values, kinds


def _from_environment(environment: Mapping[str, str], base: Path | None) -> _Values:
    """What the variables set; an empty one sets nothing."""
    given = {name: text for name, text in environment.items() if name.startswith(PREFIX)}
    check_known(given, (*VARIABLES, *READ_ELSEWHERE), "environment", "variable")
    values: _Values = {}
    for name, text in given.items():
        if name in READ_ELSEWHERE:
            continue
        section, key = VARIABLES[name]
        if text:
            values[section, key] = READERS[section][key](text, name, base or Path())
    return values
