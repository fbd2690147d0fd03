from __future__ import annotations

import time

import pytest

from dpprof.errors import DpprofError
from dpprof.trace.activities.annotations import exchange_of
from dpprof.trace.activities.kind_rules import NOT_KNOWN, KindClues, KindRule, classify
from dpprof.trace.read.columns import Category

DEEPEP = "void dpsk::ep::internode::"


def kernel(name: str, **found: str) -> KindClues:
    return KindClues(Category.KERNEL, name, **found)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096ul>)", "all_reduce"),
        ("ncclKernel_AllReduce_RING_LL_Sum_float(ncclWorkElem)", "all_reduce"),
        ("void ncclAllReduceRingLLKernel_sum_f32(ncclColl)", "all_reduce"),
        ("ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgsStorage<4096ul>)", "all_gather"),
        ("ncclSymDevKernel_AllGather_LL", "all_gather"),
        ("ncclDevKernel_ReduceScatter_Sum_bf16_RING_LL", "reduce_scatter"),
        ("ncclDevKernel_Broadcast_RING_LL", "broadcast"),
        ("ncclDevKernel_Reduce_Sum_f32_RING_LL", "comm_other"),
        ("ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t(ncclWorkElem)", "p2p"),
        ("ncclDevKernel_Generic_4(ncclDevKernelArgsStorage<4096ul>)", "comm_other"),
        ("mscclKernel_Sum_half_LL", "comm_other"),
        (DEEPEP + "dispatch<false, 8, true>(int4*)", "dispatch"),
        (DEEPEP + "combine<false, 8>(int4*)", "combine"),
        (DEEPEP + "notify_dispatch<false, 8>(int const*)", "comm_other"),
        (DEEPEP + "cached_notify<false>(int)", "comm_other"),
        ("void deep_ep::intranode::cached_notify_combine<8>(void**)", "comm_other"),
        ("void deep_ep::internode_ll::dispatch<true, 3, 10, 7168>(void*)", "dispatch"),
        ("void deep_ep::internode_ll::combine<3, 10, 7168, 9>(void*)", "combine"),
        ("_ZN7deep_ep9internode8dispatchILb1ELi8EEEvP4int4", "dispatch"),
        ("void nvshmemi_transfer_put_kernel<int>", "comm_other"),
        ("void nvshmem_alltoall_kernel", "all_to_all"),
        ("void (anonymous namespace)::multimem_all_reduce_kernel<c10::BFloat16, 16>", "all_reduce"),
        ("void two_shot_all_reduce_kernel_inplace<float>", "all_reduce"),
        ("void c10d::symmetric_memory::barrier_kernel(unsigned int**)", "comm_other"),
        ("void vllm::cross_device_reduce_1stage<half, 8>", "all_reduce"),
        ("void mscclpp::allgather_kernel<4>", "all_gather"),
        ("hcom_allReduce__503_0_1", "all_reduce"),
        ("hcom_alltoallv_", "all_to_all"),
        ("gloo:all_to_all", "all_to_all"),
        ("gloo:recv", "p2p"),
        ("gloo:barrier", "comm_other"),
    ],
)
def test_names_of_communication(name: str, kind: str) -> None:
    assert classify(kernel(name)).kind == kind


@pytest.mark.parametrize(
    "name",
    [
        "void dpsk::ep::cuda::get_dispatch_layout<128, 8>(long const*)",
        "void deep_ep::layout::get_dispatch_layout<256, 32, 8>(long const*)",
        "void cuda::per_token_cast_to_fp8_with_channels<__nv_bfloat16, 128>",
        "void at_cuda_detail::cub::DeviceReduceKernel<cub::DispatchReduce<int>::Policy600>(int*)",
        "void cub::CUB_200::DeviceSegmentedSort<DispatchSegmentedSort<long>>",
        "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float>>",
        "void at::native::_scatter_gather_elementwise_kernel<128, 8>",
        "triton_red_fused__scaled_dot_product_12",
        "nvjet_tst_256x128_64x4_1x2_h_bz_coopA_NNT",
    ],
)
@pytest.mark.parametrize("found", [{}, {"annotation": "dispatch(B)"}, {"call": "nccl:all_to_all"}])
def test_computation_stays_computation(name: str, found: dict[str, str]) -> None:
    assert classify(kernel(name, **found)).kind == "compute"


PTOP, DTOD = "Memcpy PtoP (Device -> Device)", "Memcpy DtoD (Device -> Device)"
CAT = "void at::native::(anonymous namespace)::CatArrayBatchedCopy<float, 4>(float*)"
FUSED_RULE = "Products with a collective in one kernel fused"
SEND_RECEIVE = "ncclDevKernel_SendRecv(ncclDevComm*)"
GENERIC = "ncclDevKernel_Generic(ncclDevKernelArgsStorage<4096ul>)"


@pytest.mark.parametrize(
    ("evidence", "kind", "rule"),
    [
        (kernel(DEEPEP + "combine<>", annotation="dispatch(B)"), "dispatch", "annotation dispatch"),
        (
            kernel(DEEPEP + "cached_notify<>", annotation="dispatch(B)"),
            "comm_other",
            "DeepEP comm_other",
        ),
        (kernel(SEND_RECEIVE), "p2p", "NCCL p2p, by name alone"),
        (kernel(SEND_RECEIVE, call="nccl:all_to_all"), "all_to_all", "call all_to_all"),
        (kernel(SEND_RECEIVE, call="c10d::alltoall_base_"), "all_to_all", "call all_to_all"),
        (kernel(SEND_RECEIVE, call="nccl:coalesced"), "p2p", "NCCL p2p, by name alone"),
        (kernel(SEND_RECEIVE, collective="all_to_allv"), "all_to_all", "metadata all_to_all"),
        (
            kernel(SEND_RECEIVE, collective="all_to_allv", annotation="combine(F)"),
            "combine",
            "annotation combine",
        ),
        (kernel(SEND_RECEIVE, collective="send", annotation="dispatch(F)"), "p2p", "metadata p2p"),
        (kernel(SEND_RECEIVE, annotation="dpprof:combine"), "combine", "label combine"),
        (kernel(SEND_RECEIVE, annotation="dpprof:p2p"), "p2p", "label p2p"),
        (
            kernel(SEND_RECEIVE, group="EXPERT_MODEL_PARALLEL_GROUP"),
            "all_to_all",
            "group of experts",
        ),
        (kernel(GENERIC, collective="broadcast"), "broadcast", "metadata broadcast"),
        (kernel(GENERIC, collective="_allgather_base"), "all_gather", "metadata all_gather"),
        (
            kernel(GENERIC, collective="_reduce_scatter_base"),
            "reduce_scatter",
            "metadata reduce_scatter",
        ),
        (kernel(GENERIC, collective="brand_new"), "comm_other", "NCCL comm_other, by name alone"),
        (kernel("fused_kernel_7", collective="allreduce"), "all_reduce", "metadata all_reduce"),
        (kernel("my_gemm_kernel", collective="allreduce"), "compute", "known computation"),
        (kernel("my_reduce_kernel", collective="reduce"), "comm_other", "metadata comm_other"),
        (kernel("fused_kernel_7", collective="new"), "comm_other", "metadata, kind not known"),
        (kernel("fused_kernel_7", annotation="dpprof:dispatch"), "compute", NOT_KNOWN),
        (
            KindClues(Category.MEMCPY, "Memcpy PtoP", annotation="dispatch(F)"),
            "dispatch",
            "copy between devices, annotation dispatch",
        ),
        (KindClues(Category.MEMCPY, PTOP), "comm_other", "copy between devices"),
        (
            KindClues(Category.MEMCPY, PTOP, collective="all_to_all"),
            "all_to_all",
            "copy between devices, metadata all_to_all",
        ),
        (
            KindClues(
                Category.MEMCPY, PTOP, annotation="exchange combine", collective="all_to_all"
            ),
            "combine",
            "copy between devices, annotation of a combine",
        ),
        (
            KindClues(Category.MEMCPY, PTOP, call="symm_mem::fused_all_gather_matmul"),
            "all_gather",
            "copy between devices, call all_gather",
        ),
        (
            KindClues(Category.MEMCPY, DTOD, call="deep_ep::all_gather"),
            "all_gather",
            "copy by a collective, call all_gather",
        ),
        (KindClues(Category.MEMCPY, DTOD, annotation="dispatch(F)"), "memory", "category"),
        (
            KindClues(Category.MEMCPY, "Memcpy HtoD (Pinned -> Device)", collective="allreduce"),
            "memory",
            "category",
        ),
        (
            KindClues(Category.MEMSET, "Memset (Device)", collective="allreduce"),
            "memory",
            "category",
        ),
        (kernel(CAT, collective="reduce_scatter"), "compute", "PyTorch's own compute"),
        (kernel("ag_gemm_kernel", collective="allgather"), "fused", FUSED_RULE),
        (KindClues(Category.OPERATOR, "aten::all_reduce_like"), "compute", "operator on the host"),
    ],
)
def test_order_of_the_rules(evidence: KindClues, kind: str, rule: str) -> None:
    assert classify(evidence) == (kind, rule)


def test_the_users_patterns_come_first() -> None:
    mine = KindRule("mine", "name", "^my_exchange", "dispatch")
    copies = KindRule("copies", "name", "PtoP", "all_gather")
    everything = KindRule("everything", "annotation", "", "p2p")
    evidence = kernel("my_exchange_kernel", collective="allreduce", annotation="x")
    assert classify(evidence, [mine, everything]) == ("dispatch", "mine")
    assert classify(KindClues(Category.MEMCPY, "Memcpy PtoP"), [mine, copies]).kind == "all_gather"
    assert classify(kernel("other"), [mine, everything]).kind == "compute"


@pytest.mark.parametrize(
    ("pattern", "kind", "says"),
    [("(", "p2p", "not a regular expression"), ("x", "comms", "no kind 'comms'.*compute, p2p")],
)
def test_wrong_patterns_are_refused(pattern: str, kind: str, says: str) -> None:
    with pytest.raises(DpprofError, match=f"'mine'.*{says}"):
        KindRule("mine", "name", pattern, kind)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rccl_main_kernel", "comm_other"),
        ("rcclAllReduceKernel", "all_reduce"),
        ("void pplx::a2a::dispatchKernel<8>", "dispatch"),
        ("flashinfer::trtllm_alltoall::moeCombineKernel", "combine"),
        ("__amd_rocclr_copyBuffer", "memory"),
        ("__amd_rocclr_fillBufferAligned", "memory"),
        ("void cub::DeviceReduceSingleTileKernel<Policy dispatch>", "compute"),
    ],
)
def test_more_names(name: str, kind: str) -> None:
    assert classify(KindClues(Category.KERNEL, name)).kind == kind


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("token_dispatch", "dispatch"),
        ("MoE/combine", "combine"),
        ("moe_combine_fwd", "combine"),
        ("layer3.ep_dispatch", "dispatch"),
        ("ExpertDispatch", "dispatch"),
        ("FusedDispatch", "dispatch"),
        ("FusedCombineBackward0", "combine"),
        ("MoEDispatch", "dispatch"),
        ("dispatch_layout", ""),
        ("combine_grads", ""),
        ("redispatch", ""),
        ("dispatcher", ""),
        ("aten::mm", ""),
    ],
)
def test_words_for_an_exchange_of_tokens(name: str, word: str) -> None:
    assert exchange_of(name) == word


@pytest.mark.parametrize(
    ("collective", "kernel", "kind"),
    [
        ("", "ncclDevKernel_SendRecv", "dispatch"),
        ("all_to_allv", "ncclDevKernel_SendRecv", "dispatch"),
        ("", "ncclDevKernel_AllGather_RING_LL", "all_gather"),
        ("send", "ncclDevKernel_SendRecv", "p2p"),
        ("", "void deep_ep::intranode::combine<8>", "combine"),
        ("", "gemm", "compute"),
    ],
)
def test_annotations_of_others_tell_what_is_exchanged(build, collective, kernel, kind) -> None:
    """Inside a slot, which stays known."""
    said = {"Collective name": collective} if collective else {}
    events = [
        build.annotation("PP:0F3", 0, 50),
        build.annotation("token_dispatch", 10, 20),
        build.kernel(kernel, 12, 100, 10, **said),
        build.kernel("ncclDevKernel_SendRecv", 40, 200, 10, stream=9),
    ]
    table = build.tables(events).events
    assert table["kind"].tolist() == [kind, "p2p"]
    assert table["slot"].tolist() == ["F0.3", "F0.3"]


MEMCPY = "Memcpy DtoD (Device -> Device)"


@pytest.mark.parametrize(
    ("category", "name", "label", "kind"),
    [
        (Category.KERNEL, "_copy_kernel", "dispatch", "dispatch"),
        (Category.KERNEL, "_paced_copy", "combine", "combine"),
        (Category.MEMCPY, MEMCPY, "dispatch", "dispatch"),
        (Category.MEMCPY, "Memcpy DtoH (Device -> Pinned)", "p2p", "p2p"),
        (Category.MEMSET, "Memset (Device)", "dispatch", "memory"),
        (Category.MEMCPY, MEMCPY, "compute", "memory"),
        (Category.KERNEL, "_copy_kernel", "compute", "compute"),
        (Category.KERNEL, "void at::native::direct_copy_kernel_cuda<float>", "dispatch", "compute"),
        (Category.KERNEL, "void at::native::reduce_kernel<512, 1>", "dispatch", "compute"),
    ],
)
def test_a_copy_in_an_own_label_of_a_communication_is_that(category, name, label, kind) -> None:
    assert classify(KindClues(category, name, annotation=f"dpprof:{label}")).kind == kind


@pytest.mark.parametrize("piece", ["moe_ep_", "ep_", "dispatch_", "a2a", "Fused", "token "])
def test_a_long_name_takes_no_time(build, piece: str) -> None:
    """From the parsed trace to its tables, whatever looks at names on the way."""
    name = piece * (40_000 // len(piece))
    events = [build.annotation(name, 1, 20), build.kernel(name, 2, 70, 5)]
    build.tables(events)
    start = time.process_time()
    build.tables(events)
    assert time.process_time() - start < 1
