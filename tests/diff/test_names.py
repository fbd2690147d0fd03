"""Kernels that are named otherwise on the other side: by hand, and on a real pair of machines."""

from __future__ import annotations

import pytest

from dpprof.analysis.diff.diff_runs import diff_runs
from dpprof.analysis.diff.kernel_matching import (
    Match,
    family,
    match_names,
    without_arguments,
    without_numbers,
)


def _match(base, new):
    """Matches of compute kernels given as name -> calls, as (rule, BASE's, NEW's)."""
    sides = ({("compute", name): calls for name, calls in side.items()} for side in (base, new))
    return sorted((one.rule, set(one.base), set(one.new)) for one in match_names(*sides))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("triton_red_fused__to_copy_mul_slice_sum_13", "triton_red_fused__to_copy_mul_slice_sum_7"),
        ("triton_mm_kernel_0d1d2d3de4", "triton_mm_kernel_0d1d2de3d"),
        ("nvjet_tst_128x128_64x6_2x4_v_bz_NTT", "nvjet_tst_256x128_64x4_1x2_v_bz_NTT"),
        ("volta_sgemm_32x32_sliced1x4_nn", "volta_sgemm_64x32_sliced1x4_nn"),
        (
            "void gather<float, 2ul>(Accessor<float, 1ul>, long)",
            "void gather<float, 5ul>(Accessor<float, 4ul>, int)",
        ),
        (
            "void f<gpu<g(at::It&)::{lambda()#2}::operator()() const::{lambda()#8}>>(int)",
            "void f<gpu<g(at::It&)::{lambda()#1}::operator()() const::{lambda()#12}>>(int)",
        ),
    ],
)
def test_numbers_tiles_and_suffixes_make_no_other_kernel(one, other):
    assert without_numbers(one) == without_numbers(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("void fill<4, FillFunctor<float>>(int)", "void fill<4, FillFunctor<unsigned char>>(int)"),
        ("void cat<float, unsigned int, 2, 128>(T)", "void cat<c10::BFloat16, long, 1, 64>(T)"),
    ],
)
def test_types_make_no_other_kernel_where_nothing_else_is_left(one, other):
    assert without_numbers(one) != without_numbers(other)
    assert without_arguments(one) == without_arguments(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("void fill<4, AddFunctor<float>>(int)", "void fill<4, MulFunctor<float>>(int)"),
        ("triton_poi_fused_add_3", "triton_poi_fused_mul_3"),
        ("volta_sgemm_32x32_nn", "volta_sgemm_32x32_nt"),
    ],
)
def test_other_work_stays_other_work(one, other):
    assert without_numbers(one) != without_numbers(other)
    assert without_arguments(one) != without_arguments(other)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ampere_sgemm_128x64_nn", "matrix product nn"),
        ("void cutlass::Kernel<cutlass_80_s1688gemm_64x64_32x6_tn_align4>(P)", "matrix product tn"),
        (
            "void magma_sgemmEx_kernel<float, float, float, true, false, 6, 4>(int)",
            "matrix product tn",
        ),
        ("nvjet_tst_128x128_64x6_2x4_v_bz_NNT", "matrix product nnt"),
        ("nvjet_tst_128x128_64x6_2x4_v_bz", "matrix product"),
        ("void gemv2T_kernel_val<int, int, float>(P)", "matrix-vector product"),
        ("void splitKreduce_kernel<float>(cublasSplitKParams<float>)", ""),
        ("ncclKernel_AllReduce_RING_LL_Sum_float(ncclWorkElem)", "nccl AllReduce"),
        ("ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgs)", "nccl AllReduce"),
        (
            "void at::vectorized_elementwise_kernel<4, at::tanh_kernel_cuda(I&)>(int)",
            "element-wise tanh_kernel_cuda",
        ),
        ("void softmax_warp_forward<float, 9>(float*)", ""),
    ],
)
def test_families(name, expected):
    assert family(name) == expected


def test_equal_calls_match_before_names_that_are_only_alike():
    base = {"gemm_64x64_nn": 4, "gemm_128x64_nn": 2, "add": 1}
    new = {"gemm_64x64_nn": 4, "gemm_32x32_nn": 2, "sub": 1}
    assert _match(base, new) == [
        ("", set(), {"sub"}),
        ("", {"add"}, set()),
        ("arguments", {"gemm_128x64_nn"}, {"gemm_32x32_nn"}),
        ("same", {"gemm_64x64_nn"}, {"gemm_64x64_nn"}),
    ]


def test_an_autotuner_may_share_out_calls_anew():
    base, new = {"gemm_64x64_nn": 4, "gemm_128x64_nn": 2}, {"gemm_64x64_nn": 6}
    assert _match(base, new) == [("arguments", {*base}, {*new})]


def test_more_calls_of_one_name_are_still_that_name():
    assert _match({"add": 3}, {"add": 5}) == [("same", {"add"}, {"add"})]


def test_kinds_never_match():
    matches = match_names({("compute", "copy"): 1}, {("memory", "copy"): 1})
    assert matches == [Match("compute", "", ("copy",), ()), Match("memory", "", (), ("copy",))]


def test_hostile_names_are_read_to_the_end():
    names = ["(" * 50_000, "<" * 50_000, "{lambda(" * 20_000, "_1a" * 30_000, "enable_if<" * 20_000]
    matches = match_names({("compute", name): 1 for name in names}, {})
    assert sorted(one.base[0] for one in matches) == sorted(names)


def test_two_machines_run_the_same_kernels_by_other_names(shared_run):
    """An A100 and a V100 ran one model: matched groups are called equally often on both.

    The V100 still does work of the step before its first mark, which counts where it runs.
    """
    diff = diff_runs(
        shared_run("hta/diff_control_a100.json.gz"), shared_run("hta/diff_test_v100.json.gz")
    )
    products = {
        row.title: (row.base_calls, row.new_calls, len(row.base_names), len(row.new_names))
        for row in diff.kernels.rows
        if row.rule == "family"
    }
    assert products["matrix product nn"] == (486, 486 + 16, 20, 7)
    assert products["matrix product nt"] == (624, 624 + 30, 21, 6)
    assert products["matrix product tn"] == (624, 624, 14, 8)
    assert products["matrix-vector product"][:2] == (18, 18)
    alone = [row for row in diff.kernels.rows if row.presence != "both"]
    assert sum(row.base_ns + row.new_ns for row in alone) < 0.002 * diff.time.base_ns
    copies = next(row for row in diff.kernels.rows if "DtoD" in row.title)
    assert (copies.base_calls, copies.new_calls) == (18, 4608 + 37)
