"""Work of MTIA devices, as Kineto writes it: requests for memory, kernels, and events of queues."""

from __future__ import annotations


def test_work_of_mtia_devices(build) -> None:
    def work(name: str, ts: int, stream: int = 3) -> dict:
        return build.span("mtia_ccp_events", name, ts, 10, 5, device=0, stream=stream)

    table = build.tables(
        [
            work("gather-dtype_Float", 10),
            work("dma_request", 20),
            work("event_wait", 30),
            work("event_record", 40),
            work("aten::mul.out-dtype_Float", 50),
        ]
    ).events
    assert table["name"].tolist() == [
        "gather-dtype_Float",
        "dma_request",
        "aten::mul.out-dtype_Float",
    ]
    assert table["kind"].tolist() == ["compute", "memory", "compute"]
