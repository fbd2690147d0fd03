"""When a slot on a GPU begins and ends."""

from __future__ import annotations


def test_a_message_launched_in_a_slot_is_no_part_of_it(build):
    slot, send = "dpprof:slot slot=F0.0", "dpprof:p2p action=F0.0 part=F way=send group=0>1 peer=1"
    result = build.tables(
        [
            build.annotation("ProfilerStep#1", 0, 100),
            build.annotation(slot, 1, 20),
            build.annotation("dpprof:compute slot=F0.0 action=F0.0 part=F component=mlp", 2, 4),
            build.annotation(send, 8, 4),
            build.kernel("gemm", 3, 10, 5),
            build.kernel("ncclDevKernel_SendRecv", 9, 16, 60, stream=9),
        ]
    )
    assert result.events["kind"].tolist() == ["compute", "p2p"]
    assert result.slots[["slot", "start_ns", "end_ns"]].to_numpy().tolist() == [
        ["F0.0", 10_000, 15_000]
    ]
