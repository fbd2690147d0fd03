"""No output takes the place of an input, with ``--force`` or without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click

from dpprof.config.load import load_config
from dpprof.errors import DpprofError
from dpprof.runs.manifest import MANIFEST_NAME
from dpprof.store.remote import address_of
from dpprof.trace.file_names import rank_in_name

_OUTPUTS = {"output_path", "output", "path", "reports", "keep"}
"""Parameters of verbs that name what is written; all others may name what is read."""


def spare_inputs(output: Path | None) -> None:
    """Raise `DpprofError` where writing `output` would destroy an input of this command line."""
    found = replaced_input(output)
    if found is not None:
        raise DpprofError(
            f"{output}: is an input ({found}) and is not overwritten; choose another file"
        )


def replaced_input(output: Path | None) -> Path | None:
    """The input of this command line that writing `output` would destroy, if there is one.

    An input is a file, a run folder, a glob, or a list ``0=FILE,1=FILE``; of a folder its traces,
    snapshots and ``run.json`` count.
    """
    if output is None or not output.exists():
        return None
    for given in _given():
        for file in _files(given, output):
            with suppress(OSError):
                if file.samefile(output) or (output.is_dir() and _is_inside(file, output)):
                    return file
    return None


def _given() -> Iterator[str]:
    """Whatever the command line and the configuration name that may be an input."""
    context = click.get_current_context(silent=True)
    for name, value in context.params.items() if context is not None else ():
        values = value if isinstance(value, list | tuple) else [value]
        if name not in _OUTPUTS:
            yield from (str(one) for one in values if isinstance(one, str | Path) and one != "")
    config = load_config()
    yield from (str(one) for one in (config.file, config.gate.baseline) if one is not None)


def _files(given: str, output: Path) -> list[Path]:
    from dpprof.trace.file_names import given_ranks
    from dpprof.trace.source.files import find_files

    path = Path(given)
    if address_of(given) is not None:
        return []
    if path.is_file():
        return [path]
    with suppress(DpprofError, OSError, ValueError):
        if path.is_dir():
            own = output.is_dir() or output.name == MANIFEST_NAME
            own = own or rank_in_name(output) is not None
            inside = [output] if own and _is_inside(output, path) else []
            return [path, *inside, *find_files(path).traces]
        ranked = given_ranks(given)
        return [*(find_files(given).traces if ranked is None else ranked.values())]
    return [path]


def _is_inside(file: Path, folder: Path) -> bool:
    with suppress(OSError):
        return any(parent.samefile(folder) for parent in file.absolute().parents)
    return False
