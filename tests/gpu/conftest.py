"""Tests that need a GPU skip, with a reason, where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch", reason="the reference implementation needs torch")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked where CUDA is not there."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device here"))


@pytest.fixture(scope="session")
def one_gpu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[torch.device]:
    """The first GPU, in a world of this process alone."""
    import torch.distributed as dist

    device = torch.device("cuda", 0)
    torch.cuda.set_device(device)
    store = tmp_path_factory.mktemp("store") / "rendezvous"
    dist.init_process_group("nccl", f"file://{store}", rank=0, world_size=1)
    yield device
    dist.destroy_process_group()
