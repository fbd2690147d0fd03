"""The fifteen minutes on a card, rehearsed."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.slow


def test_what_is_done_comes_back_whatever_fails_and_hangs(gpu, tmp_path):
    """Every part; tests of values fail where there are none, and symmetric memory crashes."""
    with pytest.raises(AssertionError):
        gpu.run("tests/gpu/run_all.py", str(tmp_path), "--dry-run")
    summary = json.loads((tmp_path / "summary.json").read_text())
    codes = {name: part["code"] for name, part in summary.items()}
    done = ("wire", "pair", "grouped", "prediction", "traces", "share")
    assert {name: codes[name] for name in done} == dict.fromkeys(done, 0)
    assert codes["hangs"] == 124
    assert codes["symmetric"] == -11
    assert {codes[name] for name in ("probe", "model", "profile")} <= {1, 124}
    files = {file.name for file in tmp_path.iterdir()}
    assert files >= {"wire.json", "pair.json", "1f1b.rank0.json.gz", "dualpipev.rank0.json.gz"}
    assert len(files) <= 8
    wires = json.loads((tmp_path / "wire.json").read_text())
    stay = next(value for key, value in wires.items() if "'stay'" in key)
    assert stay["pair_ms"] > 0
