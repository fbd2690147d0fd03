"""``dpprof cache``: what is kept of traces that were read, and clearing it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from dpprof.commands._output import make_output, output_options
from dpprof.errors import DpprofError

_FORMATS = ("table", "json")
_SCHEMA_VERSION = 1
_AGE = re.compile(r"(\d{1,9})\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_MOST_LISTED = 20


@click.group(invoke_without_command=True)
@output_options(_FORMATS)
@click.pass_context
def command(
    context: click.Context, output_format: str | None, output_path: Path | None, force: bool
) -> None:
    """Show or clear the cache of traces that were read.

    Every verb keeps what it reads in a cache, by content, so that the next one need not read it
    again. DPPROF_CACHE_DIR moves it, DPPROF_CACHE_LIMIT bounds it, DPPROF_CACHE=off does without.
    """
    if context.invoked_subcommand is not None:
        return
    output = make_output(_FORMATS, output_format, output_path, force)
    content = _content()
    output.write(_table(content) if output.format == "table" else json.dumps(content, indent=2))


@command.command()
@click.option(
    "--older-than", metavar="AGE", help="Only what was not used for so long: 12h, 7d, 2w."
)
@output_options(_FORMATS)
def clear(
    older_than: str | None, output_format: str | None, output_path: Path | None, force: bool
) -> None:
    """Remove what is kept; the next verb reads the traces again."""
    from dpprof.store.place import any_place
    from dpprof.store.tidy import clear as clear_store
    from dpprof.store.tidy import old_entries

    output = make_output(_FORMATS, output_format, output_path, force)
    place = any_place()
    age = 0 if older_than is None else _seconds(older_than)
    gone, left = clear_store(place, age), old_entries(place, age)
    size = sum(kept.size_bytes for kept in gone)
    content = {
        "schema_version": _SCHEMA_VERSION,
        "folder": str(place.folder),
        "removed": len(gone),
        "removed_bytes": size,
    }
    text = f"Removed {len(gone)} ranks, {_size(size)}, from {place.folder}"
    output.write(text if output.format == "table" else json.dumps(content, indent=2))
    if left:
        raise DpprofError(
            f"{place.folder}: {len(left)} ranks are still there, which may not be removed; see who "
            "owns them, and whether the folder can be written"
        )


def _seconds(age: str) -> int:
    match = _AGE.fullmatch(age.strip())
    if match is None:
        raise DpprofError(f"--older-than {age}: not an age; write 30m, 12h, 7d or 2w")
    return int(match[1]) * _SECONDS[match[2]]


def _content() -> dict[str, Any]:
    from dpprof.store.place import any_place, find_place
    from dpprof.store.tidy import list_entries, source_of

    place = any_place()
    entries = list_entries(place)
    return {
        "schema_version": _SCHEMA_VERSION,
        "folder": str(place.folder),
        "enabled": find_place() is not None,
        "limit_bytes": place.limit_bytes,
        "size_bytes": sum(kept.size_bytes for kept in entries),
        "entries": len(entries),
        "ranks": [
            {
                "source": source_of(place, kept.key),
                "size_bytes": kept.size_bytes,
                "used_at": datetime.fromtimestamp(kept.used_at, UTC).isoformat(timespec="seconds"),
            }
            for kept in reversed(entries)
        ],
    }


def _table(content: dict[str, Any]) -> str:
    ranks = content["ranks"]
    lines = [
        f"folder   {content['folder']}" + ("" if content["enabled"] else " (switched off)"),
        f"ranks    {content['entries']}",
        f"size     {_size(content['size_bytes'])} of at most {_size(content['limit_bytes'])}",
    ]
    if ranks:
        lines += ["", "last used            size       trace"]
    lines += [
        f"{one['used_at'][:19].replace('T', ' ')}  {_size(one['size_bytes']):<9}  "
        f"{one['source'] or 'damaged: will be replaced'}"
        for one in ranks[:_MOST_LISTED]
    ]
    if len(ranks) > _MOST_LISTED:
        lines.append(f"... and {len(ranks) - _MOST_LISTED} more")
    return "\n".join(lines)


def _size(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
