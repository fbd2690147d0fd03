"""Pickles of plain data are read; anything that could run code or fill the memory is not."""

from __future__ import annotations

import collections
import contextlib
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.errors import DpprofError
from dpprof.trace.memory.safe_pickle import load_plain

FILE = Path("rank0.pickle")

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | st.text(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inner, max_size=4)
        | st.tuples(inner)
        | st.tuples(inner, inner, inner, inner)
    ),
    max_leaves=20,
)


@settings(max_examples=30, deadline=None)
@given(plain, st.sampled_from([2, 3, 4, 5]))
def test_plain_data_is_what_pickle_loads(value: Any, protocol: int) -> None:
    data = pickle.dumps([value, value], protocol=protocol)
    assert load_plain(data, FILE) == pickle.loads(data)


def test_long_containers_and_many_remembered_values() -> None:
    names = [f"name {number}" for number in range(3000)]
    value = [dict.fromkeys(names[:2000], names), names, list(range(5000)), "x" * 70_000]
    for protocol in (2, 4):
        assert load_plain(pickle.dumps(value, protocol), FILE) == value


class Attack:
    """Unpickling it makes the file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


class WithState:
    def __init__(self) -> None:
        self.state = 1


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_nothing_is_run(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "was_here"
    data = pickle.dumps({"segments": [Attack(target)], "device_traces": []}, protocol=protocol)
    with pytest.raises(
        DpprofError, match=r"rank0\.pickle: .*an object, not plain data.*at byte \d"
    ):
        load_plain(data, FILE)
    assert not target.exists()
    pickle.loads(data)  # so that the test can fail
    assert target.exists()


@pytest.mark.parametrize(
    "value",
    [WithState(), collections.OrderedDict(a=1), {1, 2}, len, Path("x"), 1j, bytearray(b"x")],
)
def test_objects_are_refused(value: Any) -> None:
    with pytest.raises(DpprofError, match=r"rank0\.pickle"):
        load_plain(pickle.dumps(value, protocol=4), FILE)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a pickle of protocol 2"),
        (b"hello", "not a pickle of protocol 2"),
        (pickle.dumps({"a": 1}, protocol=0), "not a pickle of protocol 2"),
        (b"\x80\x04", "is damaged"),
        (b"\x80\x04.", "is damaged"),
        (b"\x80\x04]a.", "is damaged"),
        (b"\x80\x04(.", "is damaged"),
        (b"\x80\x04e.", "is damaged"),
        (b"\x80\x04NN\x94a.", "is damaged"),
        (b"\x80\x04}](K\x01K\x02s.", "is damaged"),
        (b"\x80\x04}]Ns.", "has a key that is neither"),
        (b"\x80\x04}(K\x01u.", "is damaged"),
        (b"\x80\x04h\x05.", "is damaged"),
        (b"\x80\x04\x8c\xffabc", "ends in the middle"),
        (b"\x80\x04\x8c\x02\xff\xff.", "is damaged"),
        (b"\x80\x04\x87.", "is damaged"),
        (b"\x80\x04cos\nsystem\n.", "an object, not plain data"),
        (b"\x80\x04Vtext\n.", "has the opcode b'V'"),
        (b"\x80\x02K\x01r" + struct.pack("<I", 2**32 - 1) + b".", "memory out of order"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.", "ends in the middle"),
        (b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.", "ends in the middle"),
    ],
)
def test_damage_is_told_with_the_byte(data: bytes, says: str) -> None:
    with pytest.raises(DpprofError, match=says):
        load_plain(data, FILE)


def test_a_huge_pickle_is_refused() -> None:
    data = b"\x80\x04](" + b"]" * 1000 + b"e."
    with pytest.raises(DpprofError, match="more than 100 values"):
        load_plain(data, FILE, most_opcodes=100)
    assert load_plain(data, FILE, most_opcodes=2000) == [[]] * 1000


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_random_bytes_are_refused_or_plain(data: bytes) -> None:
    with contextlib.suppress(DpprofError):
        value = load_plain(b"\x80\x04" + data, FILE)
        assert isinstance(value, dict | list | tuple | str | int | float | None)
