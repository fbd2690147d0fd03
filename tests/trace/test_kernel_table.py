"""The whole table of kernels: every row is sound, and finds its own examples."""

from __future__ import annotations

import re
import time

import pytest

from dpprof.tables.kinds import COMMUNICATION_KINDS, FUSED, KINDS
from dpprof.trace.activities import kernel_table
from dpprof.trace.activities.kernel_names import spell
from dpprof.trace.activities.kernel_table import (
    expand,
    find_kernel,
    in_parts,
    is_known_computation,
    known_examples,
    libraries,
    operation_of,
)

ROWS = [row for library in libraries() for row in library.kernels]


def test_every_library_says_what_it_knows_from_where() -> None:
    for library in libraries():
        assert min(len(library.name), len(library.versions)) > 0
        assert len(library.source) > 10
        assert library.kernels or library.operations
        assert library.inside or library.written or not library.operations


def test_every_pattern_compiles_and_looks_at_what_paths_hold() -> None:
    for row in ROWS:
        re.compile(row.pattern)
        assert row.kind in KINDS
        written = row.pattern.replace("(?i:", "").replace("(?<![a-z0-9])", "")
        assert row.written or not re.search("[A-Z]", written), "paths are in lower case"


def test_every_row_has_an_example_that_it_is_the_first_to_match() -> None:
    assert all(row.examples for row in ROWS)
    for row, example in known_examples():
        assert find_kernel(example) is row, example


def test_no_example_is_of_another_kind_in_a_library_before() -> None:
    for row, example in known_examples():
        for library in libraries():
            found = library.find(spell(example))
            if library.name == row.library and found is row:
                break
            assert found is None or found.kind == row.kind, (library.name, example)


def test_kinds_of_the_table() -> None:
    kinds = {row.kind for row in ROWS}
    assert kinds <= set(KINDS)
    assert {FUSED, "compute", "dispatch", "combine", "p2p"} <= kinds


def test_examples_are_known_without_their_template_and_arguments() -> None:
    for row, example in known_examples():
        if not row.written and not _by_what_is_written(row.library):
            bare = example.removeprefix("void ").partition("(int)")[0].partition("<")[0]
            found = find_kernel(bare)
            assert (found and found.kind) == row.kind, bare


def _by_what_is_written(library: str) -> bool:
    return any(one.written for one in libraries() if one.name == library)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("_allgather_base", "all_gather"),
        ("ALLGATHER_coalesced", "all_gather"),
        ("all_to_allv", "all_to_all"),
        ("reduce", "comm_other"),
        ("nccl:send 0->1", "p2p"),
        ("nccl:coalesced", ""),
        ("c10d::alltoall_base_", "all_to_all"),
        ("_c10d_functional::wait_tensor", ""),
        ("symm_mem::fused_all_gather_matmul", "all_gather"),
        ("brand_new", ""),
        ("", ""),
    ],
)
def test_operations_in_words_of_metadata_and_calls(text: str, kind: str) -> None:
    assert operation_of(text) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        # names of libraries of which no row names the kernel
        ("ncclSymkDevKernel_ReduceScatter_RailA2A_LsaLDMC_sum_bf16(Args)", "reduce_scatter"),
        ("void mori::collective::AllGatherAsyncWaitKernel<float>(int)", "all_gather"),
        ("void comms::prims::direct_reduce_scatter_ib_kernel<512>(int)", "reduce_scatter"),
        ("hcom_alltoallvc__900_0_1", "all_to_all"),
        ("void mscclpp::collective::allreduceNvlsPacket<float>(float*)", "all_reduce"),
        ("void allgather6<true>(void*, mscclpp::DeviceHandle<mscclpp::SmChannel>*)", "all_gather"),
        # of no known library, by a word that says it all
        ("x_all_gather_kernel", "all_gather"),
        ("lsa_simple_alltoall_kernel(int)", "all_to_all"),
    ],
)
def test_operations_in_names(name: str, kind: str) -> None:
    found = find_kernel(name)
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize(
    "name",
    ["acme::moe_dispatch<8>", "all_gather_copy_out", "my_all_reduce_offsets_kernel", "vectorAdd"],
)
def test_what_no_rule_knows_is_not_claimed(name: str) -> None:
    assert find_kernel(name) is None


def test_low_latency_kernels_only_send_or_only_receive() -> None:
    assert in_parts("void deep_ep::internode_ll::dispatch<true>(int)")
    assert in_parts("_ZN7deep_ep12internode_ll7combineILb0ELi7168EEEv")
    assert not in_parts("void deep_ep::internode::dispatch<true>(int)")
    assert not in_parts("ncclDevKernel_SendRecv(int)")


HOSTILE = [
    *(
        "nvshmem",
        "kernel",
        "all_reduce",
        "allreduce",
        "gemm_rs_",
        "pplx::",
        "mscclpp::a",
        "a_",
        "A",
    ),
    *("ring_", "_kernel_1_a", "reduce_local", "userbuffers_", "Sm90", "Gemm", "dispatch", "ep::"),
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_names_take_linear_time(piece: str) -> None:
    kernel_table.find_kernel.cache_clear()
    name = piece * (40_000 // len(piece))
    find_kernel("warm")
    start = time.process_time()
    find_kernel(name)
    is_known_computation(name)
    assert time.process_time() - start < 0.25


def test_words_of_the_table_begin_and_end() -> None:
    pattern = re.compile(expand(r"\<ag\>", {}))
    assert [bool(pattern.search(one)) for one in ("ag_gemm", "x_ag", "ag2", "bag", "agx")] == [
        *(True, True, True, False, False)
    ]
    assert expand("a{b}", {"b": "(?:c|d)"}) == "a(?:c|d)"


def test_communication_kinds_are_all_known_to_the_table() -> None:
    kinds = {row.kind for row in ROWS}
    assert set(COMMUNICATION_KINDS) - kinds <= {"broadcast"}
