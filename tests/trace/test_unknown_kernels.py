"""Names that may communicate and that no rule knows are said, with their time."""

from __future__ import annotations

import pytest

from dpprof.trace.activities.kernel_table import looks_like_communication
from dpprof.trace.activities.kind_rules import KindRule
from dpprof.trace.activities.unknown_kernels import UnknownKernel, unknown_evidence

GEMM = "nvjet_tst_256x128_64x4_1x2_h_bz_coopA_NNT"


@pytest.mark.parametrize(
    "name",
    [
        "void acme::moe_dispatch<8>(int)",
        "_ZN4acme13token_combineILi8EEEvPi",
        "acmeSendKernel",
        "acme_recv_tokens",
        "acme::grid::barrier(int)",
        "rdma_write_kernel",
        "remote_copy_kernel",
        "all_gather_copy_out_kernel",
        "put",
    ],
)
def test_names_with_words_of_communication(build, name: str) -> None:
    rank = build.tables([build.kernel(GEMM, 1, 10, 50), build.kernel(name, 2, 70, 5, stream=9)])
    assert rank.events["kind"].tolist() == ["compute", "compute"]
    assert rank.unknown == (UnknownKernel(name, 1, 5_000),)


@pytest.mark.parametrize(
    "name",
    [
        GEMM,
        "void at::native::index_put_kernel<long>(int)",
        "void cub::DeviceReduceKernel<cub::DispatchReduce<int>>(int*)",
        "triton_poi_fused_all_gather_into_tensor_cat_3",
        "void flash_fwd_splitkv_combine_kernel<float>(int)",
        "groupnorm_kernel_dispatch_down<float>",
        "_combined_routing_compute",
        "sender_free_name",
        "input_output_kernel",
        "void deep_ep::layout::get_dispatch_layout<256>(int)",
    ],
)
def test_names_that_need_no_word(build, name: str) -> None:
    rank = build.tables([build.kernel(name, 2, 70, 5, stream=9)])
    assert rank.unknown == ()


def test_a_pattern_of_the_users_own_ends_it(build) -> None:
    mine = [KindRule("mine", "name", "^acme", "compute")]
    rank = build.tables([build.kernel("acme_send", 2, 70, 5)], patterns=mine)
    assert rank.unknown == ()


def test_operators_of_the_host_are_no_kernels(build) -> None:
    assert looks_like_communication("aten::send")
    rank = build.tables([build.span("cpu_op", "aten::send", 1, 5)])
    assert rank.events["kind"].tolist() == ["compute"]
    assert rank.unknown == ()


def test_one_sentence_for_all_ranks_with_the_longest_names_first() -> None:
    kernels = [UnknownKernel(f"k{n}", n, n * 1_000_000) for n in (4, 3, 2, 1)]
    assert unknown_evidence({0: (), 1: ()}, 9) == ()
    (one,) = unknown_evidence({0: kernels, 2: kernels[:1], 3: ()}, 100)
    assert (one.check, one.found, one.of, one.ranks) == ("unknown-kernels", 14, 100, (0, 2))
    assert one.touches == ()
    assert "4 names that no rule knows look like communication" in one.text
    assert "14.000 ms on 2 ranks (k4 8.000 ms, k3 3.000 ms, k2 2.000 ms, ...)" in one.text
    (single,) = unknown_evidence({5: kernels[:1]}, 4)
    assert "a name that no rule knows looks" in single.text
    assert "4.000 ms on rank 5 (k4 4.000 ms);" in single.text
