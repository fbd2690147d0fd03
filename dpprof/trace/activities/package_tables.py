"""Tables of kernels that packages bring: libraries that ``kernels.toml`` does not know.

A package declares ``[project.entry-points."dpprof.kernels"]`` with ``mine = "my_package:TABLE"``,
a text of ``[[library]]`` rows as in ``kernels.toml``. Its libraries are asked before ours.
"""

from __future__ import annotations

import hashlib
import tomllib
from functools import cache
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from dpprof.errors import DpprofError
from dpprof.system.packages import load_declared

GROUP = "dpprof.kernels"


class PackageTable(NamedTuple):
    """A text and what declared it."""

    origin: str
    text: str


@cache
def package_tables() -> tuple[PackageTable, ...]:
    """All that packages declare, by name; raises `DpprofError` for what is no text."""
    found = []
    for entry in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        text = load_declared("kernel table", entry, str, "text of TOML")
        found.append(PackageTable(entry.value, text))
    return tuple(found)


def package_libraries(table: PackageTable) -> list[dict[str, Any]]:
    """Its ``[[library]]`` rows; raises `DpprofError` where it has none."""
    try:
        rows = tomllib.loads(table.text)["library"]
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise DpprofError(
            f"kernel table {table.origin}: no [[library]] rows ({error}); write them as in "
            "dpprof's kernels.toml"
        ) from error
    return list(rows)


def tables_digest() -> str:
    """What tables of packages change in what is read; empty without any."""
    texts = [one.text.encode() for one in package_tables()]
    return hashlib.sha256(b"\0".join(texts)).hexdigest() if texts else ""
