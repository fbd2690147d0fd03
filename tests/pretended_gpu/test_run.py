"""`dpprof run` on NCCL: which slots a pipeline of torch's ran, in which order, and who waited."""

from __future__ import annotations

from pathlib import Path

from dpprof.analysis.report.analyze import analyze
from dpprof.trace.load import load_run

JOB = str(Path(__file__).parents[1] / "loops" / "on_gpus.py")


def test_a_pipeline_of_torchs_is_known_on_nccl(gpu, tmp_path):
    folder = tmp_path / "run"
    before = ("-m", "dpprof", "run", "--quiet", "-o", str(folder), "--")
    torchrun = (str(gpu.python), "-m", "torch.distributed.run", "--nproc-per-node", "2")
    gpu.run(*before, *torchrun, JOB, "1F1B", gpus=2)
    run = load_run(folder)
    report = analyze(run)
    assert (report.schedule, report.pp, report.micro_batches) == ("1f1b", 2, 8)
    kinds = run.events.groupby("rank")["kind"].agg(lambda of: set(of.astype(str)))
    assert set(kinds.index) == {0, 1}
    assert all({"compute", "p2p"} <= found for found in kinds)
    assert all(rank.bubble_ns is not None for rank in report.ranks)
    assert not [text for text in report.warnings if "clock" in text]
