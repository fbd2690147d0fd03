"""The tables of a run as files of one kind, in a folder or the events alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec
import pandas as pd

from dpprof.export.content import EVENTS_TABLE, TABLES, Content
from dpprof.export.place import ABOUT, whole_file, whole_folder
from dpprof.system.inputs import encode_json

TableWriter = Callable[[Iterable[pd.DataFrame], BinaryIO], None]


def write_tables(content: Content, path: Path, ending: str, write: TableWriter) -> None:
    """Write all tables to the folder `path`, or the events to the file `path` with `ending`."""
    if path.name.endswith(ending):
        with whole_file(path) as file:
            write(content.parts(EVENTS_TABLE), file)
        return
    with whole_folder(path) as folder:
        for name in TABLES:
            with (folder / f"{name}{ending}").open("wb") as file:
                write(content.parts(name), file)
        about = encode_json(content.about() | {"tables": TABLES})
        (folder / ABOUT).write_bytes(msgspec.json.format(about, indent=2) + b"\n")
