"""Tables in folders and files: whole, read back as they were, and never over what is not ours."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from dpprof.analysis.accounting.account import account
from dpprof.cli import run as dpprof
from dpprof.errors import DpprofError
from dpprof.export import export
from dpprof.runs.run import Run
from dpprof.tables.columns import EVENTS

RUN = Path(__file__).resolve().parents[2] / "traces" / "1f1b"
TABLES = ["events", "slots", "regions", "memory", "steps", "accounting"]


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Categories as text, as files have them."""
    text = {name: object for name, dtype in table.dtypes.items() if dtype.kind not in "iu"}
    return table.astype(str).astype(object) if not len(table) else table.astype(text)


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_folder_holds_every_table_as_it_is(two_ranks: Run, tmp_path: Path, form: str):
    export(two_ranks, form, tmp_path / "out")
    accounting = account(two_ranks)
    expected = {
        "events": two_ranks.events,
        "slots": two_ranks.slots,
        "regions": accounting.regions,
        "memory": two_ranks.memory,
        "steps": two_ranks.steps,
        "accounting": accounting.states,
    }
    assert list(expected) == TABLES
    files = {file.name for file in (tmp_path / "out").iterdir()}
    assert files == {"about.json", *(f"{name}.{form}" for name in TABLES)}
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    assert (about["source"], about["ranks"], about["tables"]) == ("emulated", [0, 1], TABLES)
    for name, table in expected.items():
        file = tmp_path / "out" / f"{name}.{form}"
        if form == "parquet":
            read = pd.read_parquet(file)
            widths = {column: dtype for column, dtype in table.dtypes.items() if dtype.kind == "i"}
            assert {column: read[column].dtype for column in widths} == widths
        else:
            read = pd.read_csv(file, keep_default_na=False)
        assert list(read.columns) == list(table.columns)
        assert read.astype(object).values.tolist() == table.astype(object).values.tolist()


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_file_holds_the_events(two_ranks: Run, tmp_path: Path, form: str):
    export(two_ranks, form, tmp_path / f"out.{form}")
    read = pd.read_parquet if form == "parquet" else pd.read_csv
    assert list(read(tmp_path / f"out.{form}").columns) == list(EVENTS)
    assert len(read(tmp_path / f"out.{form}")) == len(two_ranks.events)
    assert [file.name for file in tmp_path.iterdir()] == [f"out.{form}"]


@pytest.mark.parametrize("form", ["parquet", "csv", "perfetto"])
def test_an_empty_run_has_tables_without_rows(tmp_path: Path, form: str):
    place = tmp_path / ("out.json" if form == "perfetto" else "out")
    export(Run(name="nothing", source="captured"), form, place)
    if form == "perfetto":
        assert json.loads(place.read_text())["traceEvents"] == []
    elif form == "parquet":
        assert pd.read_parquet(place / "events.parquet").shape == (0, len(EVENTS))


def test_only_exports_are_replaced_and_only_when_asked(two_ranks: Run, tmp_path: Path):
    place = tmp_path / "out"
    export(two_ranks, "csv", place)
    with pytest.raises(DpprofError, match="exists already"):
        export(two_ranks, "parquet", place)
    export(two_ranks, "parquet", place, force=True)
    assert (place / "events.parquet").exists()
    assert not (place / "events.csv").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(DpprofError, match="is not an export"):
        export(two_ranks, "csv", mine, force=True)
    with pytest.raises(DpprofError, match="is a folder"):
        export(two_ranks, "perfetto", _folder(tmp_path / "folder.json"), force=True)
    assert (mine / "thesis.txt").read_text() == "years of work"


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("form", "name"), [("csv", "out"), ("csv", "a.csv"), ("perfetto", "a.json")]
)
def test_what_fails_midway_leaves_nothing_new_and_the_old_as_it_was(
    two_ranks: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, name: str
):
    export(two_ranks, form, tmp_path / name)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    broken = Run(name="broken", source="captured", held=_Broken(), places=two_ranks.places)
    with pytest.raises(KeyboardInterrupt):
        export(broken, form, tmp_path / name, force=True)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


class _Broken:
    """Events whose reader presses Ctrl-C."""

    def __getattr__(self, name: str):
        raise KeyboardInterrupt


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    place = tmp_path / "out.parquet"
    arguments = ["export", str(RUN), "--to", "parquet", "-o", str(place)]
    assert dpprof(arguments) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"Wrote {place}" in printed.err
    assert set(pd.read_parquet(place)["rank"]) == {0, 1, 2, 3}
    assert dpprof(arguments) == 2
    assert dpprof([*arguments, "--force", "--steps", "99"]) == 2
    assert "no step 99" in capsys.readouterr().err
    assert set(pd.read_parquet(place)["rank"]) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "perfetto", "-o", "trace.pb"], ".json or .json.gz"),
        (["--to", "perfetto", "-o", "nowhere/trace.json"], "no such folder"),
        (["--to", "pdf", "-o", "a"], "perfetto"),
        (["--to", "csv"], "--output"),
    ],
)
def test_wrong_use_is_explained_before_anything_is_read(options, message, capsys):
    assert dpprof(["export", "no such run", *options]) == 2
    assert message in capsys.readouterr().err
