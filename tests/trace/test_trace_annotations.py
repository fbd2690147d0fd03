from __future__ import annotations

import pytest

from dpprof.trace.activities.annotations import Annotation, Family, held_stages, read_annotation

TORCH = {"family": Family.PIPELINING}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "dpprof:dispatch slot=F0.3&B1.2 action=B1.2 part=I component=dispatch layer=2 stage=3"
            " group=ep.0 bytes=64 sequence=7",
            Annotation(
                family=Family.LABEL,
                hint="dpprof:dispatch",
                kind="dispatch",
                title="dispatch(I)",
                slot="F0.3&B1.2",
                operation="F&B",
                direction=1,
                micro_batch=2,
                part="I",
                component="dispatch",
                layer=2,
                stage=3,
                group="ep.0",
                bytes=64,
                sequence=7,
            ),
        ),
        (
            "dpprof:p2p action=F0.3 part=F stage=1 way=recv group=0>1 peer=0 sequence=3",
            Annotation(
                family=Family.LABEL,
                hint="dpprof:p2p",
                kind="p2p",
                title="recv",
                operation="F",
                direction=0,
                micro_batch=3,
                part="F",
                stage=1,
                group="0>1",
                peer=0,
                sequence=3,
            ),
        ),
        (
            "dpprof:slot slot=I0.1",
            Annotation(
                family=Family.SLOT,
                hint="dpprof:slot",
                kind="slot",
                title="slot",
                slot="I0.1",
                operation="I",
                direction=0,
                micro_batch=1,
                part="I",
            ),
        ),
        (
            "attn(F)",
            Annotation(family=Family.COMPONENT, hint="attn(F)", component="attention", part="F"),
        ),
        ("mlp(B)", Annotation(family=Family.COMPONENT, hint="mlp(B)", component="mlp", part="I")),
        (
            "combine(W)",
            Annotation(family=Family.COMPONENT, hint="combine(W)", component="combine", part="W"),
        ),
        (
            "PP:5W2",
            Annotation(
                **TORCH,
                hint="PP:5W2",
                slot="W1.2",
                operation="W",
                direction=1,
                micro_batch=2,
                part="W",
                stage=5,
            ),
        ),
        (
            "PP:2B0",
            Annotation(
                **TORCH,
                hint="PP:2B0",
                slot="B0.0",
                operation="B",
                direction=0,
                micro_batch=0,
                stage=2,
            ),
        ),
        (
            "PP:(2F3;5B1)OVERLAP_F_B",
            Annotation(**TORCH, hint="PP:(2F3;5B1)OVERLAP_F_B", slot="F0.3&B1.1", operation="F&B"),
        ),
        (
            "PP:2SEND_F4",
            Annotation(**TORCH, hint="PP:2SEND_F4", part="F", direction=0, micro_batch=4, stage=2),
        ),
        ("PP:2UNSHARD", None),
        ("attention_mask(F)", None),
        ("dpprof:compute slot=nonsense", None),
        ("dpprof:compute action=F0", None),
        ("dpprof:compute layer=x", None),
        ("nccl:all_reduce", None),
    ],
)
def test_each_form(name: str, expected: Annotation | None) -> None:
    assert read_annotation(name, stages=(2, 5)) == expected


def test_stages_that_a_rank_computes() -> None:
    assert held_stages(["PP:5F0", "PP:(0F3;3B1)OVERLAP_F_B", "PP:4RECV_F1", "x"]) == (0, 3, 5)
