"""Names of kernels in tables: short, and different where the kernels are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.reporters.diff.kernel_names import shortened, shown_names

_CAT = "void at::native::CatArrayBatchedCopy<{}, unsigned int, 2>({}*, at::native::Meta<4>)"


@pytest.mark.parametrize(
    ("name", "longest", "shown"),
    [
        ("attention(F)", 18, "attention(F)"),
        (_CAT.format("float", "float"), 40, "at::native::CatArrayBatchedCopy"),
        (_CAT.format("float", "float"), 20, "CatArrayBatchedCopy"),
        (_CAT.format("float", "float"), 12, "CatArrayB..."),
        ("Memcpy DtoD (Device -> Device)", 18, "Memcpy DtoD"),
        ("ncclDevKernel_ReduceScatter_Sum_f32_RING_LL", 20, "nccl ReduceScatter"),
    ],
)
def test_what_says_most_stays(name, longest, shown):
    assert shortened(name, longest) == shown


@pytest.mark.parametrize(
    ("names", "longest", "shown"),
    [
        (
            [_CAT.format("float", "float"), _CAT.format("int", "int")],
            42,
            ["at::native::CatArrayBatchedCopy float", "at::native::CatArrayBatchedCopy int"],
        ),
        (
            ["split_embedding_backward_rowwise", "split_embedding_forward_rowwise"],
            19,
            ["split_e... backward", "split_em... forward"],
        ),
        (
            ["Memcpy HtoD (Pinned -> Device)", "Memcpy HtoD (Pageable -> Device)"],
            24,
            ["Memcpy HtoD Pinned", "Memcpy HtoD Pageable"],
        ),
        (
            ["product_of_many_words_a_64_b_nt", "product_of_many_words_b_64_a_nt"],
            16,
            ["produc... a_64_b", "produc... b_64_a"],
        ),
        (["k" * 90 + "x", "k" * 90 + "y"], 12, ["kkkkkk... #1", "kkkkkk... #2"]),
    ],
)
def test_what_looks_alike_is_told_apart(names, longest, shown):
    found = shown_names(names, longest)
    assert list(found) == names
    assert list(found.values()) == shown
    assert len(set(found.values())) == len(names)


@given(st.lists(st.text("ab:<>(), _1", max_size=40), max_size=6), st.integers(12, 30))
def test_no_two_names_are_shown_alike(names, longest):
    found = shown_names(names, longest)
    assert found.keys() == set(names)
    assert len(set(found.values())) == len(found)
    assert all(len(text) <= longest for text in found.values())
