"""A capture writes torch's memory history beside its trace, whole."""

from __future__ import annotations

import msgspec
import pytest

torch = pytest.importorskip("torch", reason="capturing needs torch")

import dpprof  # noqa: E402
from dpprof.errors import DpprofError  # noqa: E402
from dpprof.instrument import start_memory_history  # noqa: E402


@pytest.fixture
def calls(monkeypatch):
    """torch's private functions, replaced by what notes their calls."""
    made = []

    def dump(file):
        made.append("dump")
        with open(file, "wb") as target:  # noqa: PTH123 - as torch does it
            target.write(b"a snapshot")

    monkeypatch.setattr(torch.cuda.memory, "_dump_snapshot", dump)
    monkeypatch.setattr(
        torch.cuda.memory, "_record_memory_history", lambda **options: made.append(options)
    )
    return made


def test_without_a_gpu_there_is_no_history(calls, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DpprofError, match="memory history is torch's for CUDA"):
        start_memory_history()
    assert calls == []


def test_history_is_taken_down_with_stacks_of_allocations(calls, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    start_memory_history(max_entries=7)
    assert calls == [
        {"enabled": "all", "context": "alloc", "stacks": "python", "max_entries": 7},
    ]


def test_a_capture_writes_it_and_says_where(calls, tmp_path):
    with dpprof.capture(tmp_path / "run", warmup=1, steps=1, memory_history=True) as capture:
        for _ in range(2):
            torch.ones(3).add_(1)
            capture.step()
    assert calls == ["dump", {"enabled": None}]
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["rank0.json.gz", "rank0.pickle", "run.json"]
    manifest = msgspec.json.decode((tmp_path / "run" / "run.json").read_bytes())
    assert manifest["ranks"][0]["memory_snapshot"] == "rank0.pickle"
