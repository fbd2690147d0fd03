"""Runs in other tools' forms: `export` writes one in any of `EXPORTERS`, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dpprof.errors import DpprofError
from dpprof.export import csv, parquet, perfetto
from dpprof.export.content import Content
from dpprof.export.place import check_place
from dpprof.runs.run import Run


@dataclass(frozen=True)
class Exporter:
    """A form: how it is written, and which paths name a single file rather than a folder."""

    write: Callable[[Content, Path], None]
    file_endings: tuple[str, ...]
    needs_file: bool
    next_step: str


EXPORTERS = {
    "perfetto": Exporter(
        perfetto.write, (".json", ".json.gz"), True, "open it at https://ui.perfetto.dev"
    ),
    "parquet": Exporter(
        parquet.write, (parquet.ENDING,), False, "read it with pandas.read_parquet"
    ),
    "csv": Exporter(csv.write, (csv.ENDING,), False, "about.json in it says what the columns are"),
}
"""Name -> exporter: a new form is a new file here and a line."""

FORMS = tuple(EXPORTERS)
"""Names of the forms."""


def check_export(form: str, path: Path, *, force: bool = False) -> None:
    """Raise `DpprofError` where `path` cannot take the export; asks before the long work starts."""
    exporter = EXPORTERS.get(form)
    if exporter is None:
        raise DpprofError(f"no export to {form!r}; there are {', '.join(FORMS)}")
    is_file = path.name.endswith(exporter.file_endings)
    if exporter.needs_file and not is_file:
        raise DpprofError(
            f"{path}: a {form} export is one file; end its name in "
            f"{' or '.join(exporter.file_endings)}"
        )
    check_place(path, is_file=is_file, force=force)


def export(run: Run, form: str, path: Path, *, force: bool = False) -> str:
    """Write `run` to `path` in one of `FORMS`; gives what to do next with it, in words.

    ``perfetto`` writes one trace for ui.perfetto.dev. ``parquet`` and ``csv`` write a folder with
    all tables, or the events alone where `path` ends in ``.parquet`` or ``.csv``. Raises
    `DpprofError` where `path` exists (but with `force`) or cannot be written.
    """
    check_export(form, path, force=force)
    EXPORTERS[form].write(Content(run), path)
    return EXPORTERS[form].next_step
