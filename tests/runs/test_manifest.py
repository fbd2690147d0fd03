"""``run.json`` is read strictly and written whole."""

from __future__ import annotations

import pytest

from dpprof.errors import DpprofError
from dpprof.runs.manifest import Manifest, RankPlace, read_manifest, write_manifest

MANIFEST = Manifest(
    schema_version=1,
    source="captured",
    schedule=None,
    device="cpu",
    world_size=1,
    ranks=[RankPlace(rank=0, pp_rank=0)],
)


def test_round_trip(tmp_path):
    path = write_manifest(tmp_path, MANIFEST)
    assert read_manifest(path) == MANIFEST
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not a dpprof manifest"),
        ("[]", "not a dpprof manifest"),
        ('{"schema_version": 1}', "source"),
        ('{"schema_version": "1"}', "schema_version"),
        ("{" * 100_000, "not a dpprof manifest"),
    ],
)
def test_damage_is_named(tmp_path, text, word):
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(DpprofError, match=word) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)


def test_newer_schema_is_refused(tmp_path):
    path = write_manifest(tmp_path, MANIFEST)
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(DpprofError, match="newer dpprof"):
        read_manifest(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DpprofError, match=r"nowhere.*No such file"):
        read_manifest(tmp_path / "nowhere.json")
