"""The name of a kernel in any spelling has the path of its source."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpprof.trace.activities.kernel_names import LONGEST_NAME, LONGEST_PATH, in_words, spell

WORD = st.from_regex(r"[a-z][a-z0-9]{0,8}(?:_[a-z][a-z0-9]{0,5}){0,2}", fullmatch=True)
TYPES = st.sampled_from(["int", "float const*", "std::array<int, 8ul>", "ns::Other<8, (A)1>"])


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("void ns::run<8, (Kind)1>(int const*, std::array<int*, 8>)", "ns::run"),
        ("void ns::(anonymous namespace)::OneShotKernel<__half>(int)", "ns::one_shot_kernel"),
        ("_ZN2ns12_GLOBAL__N_1L6kernelILi8EEEvPi", "ns::kernel"),
        ("_Z6kernelILi8EEvPi", "kernel"),
        ("_ZN4uccl9intranode8dispatchILi8ELi768ELi8192EEEvP4int4", "uccl::intranode::dispatch"),
        ("void ns::cut_off<std::array<int, 8", "ns::cut_off"),
        ("moeA2ADispatchKernel", "moe_a2a_dispatch_kernel"),
        ("EpCombineInterNodeV1KernelLowLatency_bf16", None),
        ("kernel_with_suffix.kd", "kernel_with_suffix"),
        ("std::enable_if<(true), void>::type ns::chosen<4>(int)", "ns::chosen"),
        ("gloo:all_reduce", "gloo:all_reduce"),
        ("", ""),
        ("(((", ""),
    ],
)
def test_spellings(name: str, path: str | None) -> None:
    wanted = "ep_combine_inter_node_v1_kernel_low_latency_bf16" if path is None else path
    assert spell(name).path == wanted


@given(st.lists(WORD, min_size=1, max_size=4), st.lists(TYPES, max_size=3), st.lists(TYPES))
def test_all_spellings_of_a_kernel_have_one_path(parts, template, arguments) -> None:
    plain = "::".join(parts)
    full = plain + (f"<{', '.join(template)}>" if template else "")
    wanted = in_words(plain)
    assert spell(plain).path == wanted
    assert spell(f"void {full}({', '.join(arguments)})").path == wanted
    mangled = "".join(f"{len(part)}{part}" for part in parts)
    ending = "ILi8ELb1EE" if template else ""
    whole = f"_ZN{mangled}{ending}EvPi" if len(parts) > 1 else f"_Z{mangled}{ending}vPi"
    assert spell(whole).path == wanted
    assert spell(whole[: len(whole) - 3]).path == wanted


@given(st.text(max_size=300))
def test_any_text_has_a_spelling(text: str) -> None:
    spelled = spell(text)
    assert len(spelled.path) <= LONGEST_PATH
    assert spelled.whole == text[:LONGEST_NAME]


@pytest.mark.parametrize("piece", ["<", "(", "A", "aA", "::", "_Z1", " ", "a b<", "1"])
def test_long_names_take_no_time(piece: str) -> None:
    start = time.process_time()
    spell(piece * 200_000)
    assert time.process_time() - start < 0.5
