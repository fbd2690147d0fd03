"""From a snapshot to what was allocated when and for what."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpprof.errors import DpprofError
from dpprof.tables.columns import SLOTS, empty_table, make_table
from dpprof.trace.memory.origins import Origin, OriginReader
from dpprof.trace.memory.snapshot import (
    AllocatorAction,
    AllocatorEntry,
    MemorySnapshot,
    SnapshotBlock,
    read_snapshot,
)
from dpprof.trace.memory.usage import (
    activation_bytes,
    find_allocations,
    find_usage,
    follow_addresses,
)

FORWARD = [
    {"filename": "/lib/torch/nn/modules/linear.py", "line": 1, "name": "forward"},
    {"filename": "/lib/torch/nn/modules/module.py", "line": 1, "name": "_call_impl"},
]


def entry(action: str, time_us: int, addr: int, size: int, **more: Any) -> dict[str, Any]:
    return {"action": action, "time_us": time_us, "addr": addr, "size": size, "stream": 0, **more}


def segment(blocks: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    size = sum(block["size"] for block in blocks)
    return {"device": 0, "address": 4096, "total_size": size, "stream": 0, "blocks": blocks, **more}


def block(size: int, address: int | None = None, **more: Any) -> dict[str, Any]:
    place = {} if address is None else {"address": address}
    return {"size": size, "state": "active_allocated", **place, **more}


CONTENT = {
    "segments": [
        segment([block(1024, frames=FORWARD), {"size": 512, "state": "inactive"}, block(512)]),
    ],
    "device_traces": [
        [
            entry("segment_alloc", 9, 4096, 2048),
            entry("alloc", 10, 4096, 1000, frames=FORWARD),
            entry("alloc", 11, 5120, 100, frames=[]),
            entry("free_requested", 12, 5120, 100),
            entry("free_completed", 13, 5120, 100),
            {"action": "oom", "size": 5, "device_free": 1, "time_us": 14},
            {"action": "alloc", "addr": "x", "size": 3, "time_us": 15},
            "damage",
            entry("snapshot", 16, 0, 0),
        ],
        [],
    ],
}


def as_pickle(file: Path, content: Any) -> Path:
    file.write_bytes(pickle.dumps(content))
    return file


def as_json(file: Path, content: Any) -> Path:
    file.write_text(json.dumps(content))
    return file


@pytest.mark.parametrize("write", [as_pickle, as_json])
def test_both_forms_are_read(tmp_path: Path, write: Any) -> None:
    snapshot = read_snapshot(write(tmp_path / "rank0.pickle", CONTENT))
    assert snapshot == MemorySnapshot(
        device=0,
        entries=(
            AllocatorEntry(9000, AllocatorAction.RESERVE, 4096, 2048, Origin.NOT_RECORDED),
            AllocatorEntry(10000, AllocatorAction.ALLOCATE, 4096, 1000, Origin.FORWARD),
            AllocatorEntry(11000, AllocatorAction.ALLOCATE, 5120, 100, Origin.NOT_RECORDED),
            AllocatorEntry(12000, AllocatorAction.FREE, 5120, 100, Origin.NOT_RECORDED),
        ),
        blocks=((4096, 1024, Origin.FORWARD), (5632, 512, Origin.NOT_RECORDED)),
        reserved_bytes=2048,
        skipped=2,
    )


def test_the_device_that_did_most_counts(tmp_path: Path) -> None:
    content = {
        "segments": [segment([block(64)], device=0), segment([block(64)], device=3)],
        "device_traces": [[], [], [], [entry("alloc", 1, 4096, 64)]],
    }
    assert read_snapshot(as_pickle(tmp_path / "a.pickle", content)).device == 3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "not a memory snapshot"),
        ({"segments": []}, "not a memory snapshot"),
        ({"segments": {}, "device_traces": []}, "not a memory snapshot"),
        ({"segments": [], "device_traces": []}, "the snapshot is empty"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, content: Any, says: str) -> None:
    with pytest.raises(DpprofError, match=says):
        read_snapshot(as_pickle(tmp_path / "a.pickle", content))


def test_damaged_json_and_large_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.snapshot.json"
    for text in ("{", '{"segments": ' + "[" * 200_000):
        file.write_text(text)
        with pytest.raises(DpprofError, match="not valid JSON"):
            read_snapshot(file)
    with pytest.raises(DpprofError, match="more than 10 bytes;"):
        read_snapshot(file, most_bytes=10)
    with pytest.raises(DpprofError, match="cannot be read"):
        read_snapshot(tmp_path / "nowhere")


junk = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


KEYS = ("action", "addr", "size", "time_us", "frames", "category", "blocks", "state", "device")


@settings(max_examples=30, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, junk)))
def test_wrong_types_anywhere_are_left_out(tmp_path_factory: Any, odd: dict[str, Any]) -> None:
    held = {"device": 0, "blocks": [odd, odd | {"state": "active_allocated"}, 3]}
    content = {
        "segments": [odd, held, odd | {"blocks": [odd]}, None],
        "device_traces": [[odd | {"action": "alloc"}, odd, entry("alloc", 1, 1, 512)], odd, 7],
    }
    file = as_pickle(tmp_path_factory.mktemp("odd") / "a.pickle", content)
    snapshot = read_snapshot(file)
    usage = find_usage(snapshot, empty_table(SLOTS), np.zeros(len(snapshot.entries), np.int32))
    assert len(usage.allocated) == len(snapshot.entries) >= 1


@pytest.mark.parametrize(
    ("frames", "origin"),
    [
        ([], Origin.NOT_RECORDED),
        ([{"filename": "train.py", "name": "main"}], Origin.OTHER),
        ([None, 3, {}], Origin.OTHER),
        (FORWARD, Origin.FORWARD),
        ([{"filename": "/lib/torch/optim/adam.py", "name": "_init_group"}], Origin.OPTIMIZER_STEP),
        ([{"filename": "/x/megatron/core/optimizer/distrib_optimizer.py", "name": "step"}], 10),
        ([{"filename": "/lib/torch/autograd/graph.py", "name": "_engine_run_backward"}], 9),
        ([{"filename": "??", "name": "torch::autograd::Engine::evaluate_function(x)"}], 9),
        ([{"filename": "/lib/torch/nn/modules/linear.py", "name": "__init__"}], Origin.PARAMETER),
        ([{"filename": "/lib/torch/nn/modules/module.py", "name": "_apply"}], Origin.PARAMETER),
        ([{"filename": "C:\\lib\\torch\\nn\\parameter.py", "name": "__new__"}], Origin.PARAMETER),
        (
            [{"filename": "/lib/torch/distributed/distributed_c10d.py", "name": "x"}, *FORWARD],
            Origin.COMMUNICATION,
        ),
        ([*FORWARD, {"filename": "/lib/torch/autograd/graph.py", "name": "backward"}], 8),
        ([{"filename": "/x/deep_ep/buffer.py", "name": "__init__"}], Origin.COMMUNICATION),
    ],
)
def test_the_innermost_frame_that_says_something_decides(frames: Any, origin: int) -> None:
    assert OriginReader().read({"frames": frames}) == origin


def test_categories_come_before_frames() -> None:
    reader = OriginReader()
    assert reader.read({"category": "optimizer_state", "frames": FORWARD}) is Origin.OPTIMIZER_STATE
    assert reader.read({"user_metadata": "communication"}) is Origin.COMMUNICATION
    assert reader.read({"category": "unknown", "frames": FORWARD}) is Origin.FORWARD


def snapshot_of(
    entries: list[tuple[AllocatorAction, int, int, Origin]], blocks: Any = ()
) -> MemorySnapshot:
    """Entry i is at i microseconds."""
    made = [AllocatorEntry(1000 * at, *one) for at, one in enumerate(entries)]
    return MemorySnapshot(0, tuple(made), tuple(SnapshotBlock(*one) for one in blocks), 0, 0)


def slots(*rows: tuple[str, int, int]) -> Any:
    """Slots in microseconds."""
    return make_table(
        SLOTS,
        {
            "rank": 0,
            "step": 0,
            "slot": [text for text, _, _ in rows],
            "operation": [text[0] for text, _, _ in rows],
            "start_ns": [start * 1000 for _, start, _ in rows],
            "end_ns": [end * 1000 for _, _, end in rows],
        },
    )


A, F = AllocatorAction.ALLOCATE, AllocatorAction.FREE
NONE = Origin.NOT_RECORDED


def parts_of(snapshot: MemorySnapshot, table: Any, step: list[int] | None = None) -> dict[str, Any]:
    steps = np.array(step or [0] * len(snapshot.entries), dtype=np.int32)
    usage = find_usage(snapshot, table, steps)
    return {name: bytes_.tolist() for name, bytes_ in usage.parts.items()}


def test_what_outlasts_its_slot_is_kept_for_the_backward() -> None:
    snapshot = snapshot_of(
        [
            (A, 1, 512, Origin.FORWARD),  # F0.0: temporary
            (A, 2, 512, Origin.FORWARD),  # F0.0: activation
            (F, 1, 512, NONE),
            (A, 3, 1024, Origin.BACKWARD),  # B0.0: temporary
            (A, 4, 2048, Origin.BACKWARD),  # B0.0: gradient
            (F, 3, 1024, NONE),
            (F, 2, 512, NONE),
        ]
    )
    table = slots(("F0.0", 0, 3), ("B0.0", 3, 7))
    assert parts_of(snapshot, table) == {
        "parameter_bytes": [0] * 7,
        "gradient_bytes": [0, 0, 0, 0, 2048, 2048, 2048],
        "optimizer_bytes": [0] * 7,
        "activation_bytes": [0, 512, 512, 512, 512, 512, 0],
        "communication_bytes": [0] * 7,
    }


def test_without_frames_the_slots_alone_tell_activations() -> None:
    snapshot = snapshot_of([(A, 1, 512, NONE), (A, 2, 512, NONE), (F, 1, 512, NONE)])
    usage = find_usage(snapshot, slots(("F0.0", 0, 1), ("B0.0", 1, 3)), np.zeros(3, np.int32))
    assert usage.parts["activation_bytes"].tolist() == [512, 512, 0]
    assert usage.parts["gradient_bytes"].tolist() == [0, 512, 512]
    assert usage.parts["communication_bytes"].tolist() == [-1, -1, -1]
    assert usage.reasons == (
        "communication buffers: the snapshot has no stack frames; record with context='all'",
    )


def test_optimizer_state_outlasts_its_step() -> None:
    snapshot = snapshot_of(
        [(A, 1, 512, Origin.OPTIMIZER_STEP), (A, 2, 512, Origin.OPTIMIZER_STEP), (F, 2, 512, NONE)]
    )
    assert parts_of(snapshot, slots(), [0, 0, 0])["optimizer_bytes"] == [512, 512, 512]
    assert parts_of(snapshot, slots(), [0, 0, 1])["optimizer_bytes"] == [512, 1024, 512]


def test_what_was_allocated_before_is_counted_but_not_known() -> None:
    snapshot = snapshot_of([(A, 2, 512, Origin.FORWARD), (F, 1, 700, NONE)], [(3, 5120, NONE)])
    usage = find_usage(snapshot, slots(), np.zeros(2, np.int32))
    assert usage.allocated.tolist() == [1024 + 5120, 5120]
    assert usage.parts["parameter_bytes"].tolist() == [-1, -1]
    assert "6144 bytes were allocated before the snapshot's recording began" in usage.reasons[0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 4), st.integers(0, 3000)), max_size=25))
def test_the_curve_is_that_of_a_plain_count(actions: list[tuple[bool, int, int]]) -> None:
    """Twin: a dictionary of what is held; what is freed first was there before."""
    entries, sizes = [], {}
    early = 0
    for allocates, address, size in actions:
        if allocates == (address in sizes):
            continue
        if allocates:
            sizes[address] = size
        elif address not in sizes:
            early += -(-size // 512) * 512
        else:
            size = sizes.pop(address)
        entries.append((A if allocates else F, address, size, NONE))
    wanted, held = [], early
    for action, _, size, _ in entries:
        held += (1 if action is A else -1) * (-(-size // 512) * 512)
        wanted.append(held)
    blocks = [(address, -(-size // 512) * 512, NONE) for address, size in sizes.items()]
    usage = find_usage(
        snapshot_of(entries, blocks), slots(), np.zeros(len(entries), dtype=np.int32)
    )
    assert usage.allocated.tolist() == wanted


def test_reserved_is_counted_back_from_the_end() -> None:
    entries = [
        (AllocatorAction.RESERVE, 1, 100, NONE),
        (A, 1, 1, NONE),
        (AllocatorAction.RELEASE, 2, 30, NONE),
    ]
    snapshot = MemorySnapshot(0, snapshot_of(entries).entries, (), 500, 0)
    usage = find_usage(snapshot, slots(), np.zeros(3, np.int32))
    assert usage.reserved.tolist() == [530, 530, 500]


def activations(changes: list[tuple[int, int]], table: Any, step: list[int] | None = None) -> Any:
    """Change i is at i microseconds."""
    address, change = np.array(changes, dtype=np.int64).reshape(-1, 2).T
    steps = np.array(step or [0] * len(address), dtype=np.int32)
    at_ns = 1000 * np.arange(len(address))
    return activation_bytes(follow_addresses(address, change), at_ns, table, steps).tolist()


def test_addresses_alone_tell_activations() -> None:
    changes = [
        (1, 10),  # F0.0: temporary
        (2, 20),  # F0.0: activation
        (1, -10),
        (1, 40),  # F0.1: activation, where the temporary was
        (3, 80),  # B0.0: none
        (2, -20),
        (9, -7),  # was there before
        (1, -40),
    ]
    table = slots(("F0.0", 0, 3), ("F0.1", 3, 4), ("B0.0", 4, 6), ("B0.1", 6, 8))
    assert activations(changes, table) == [0, 20, 20, 60, 60, 40, 40, 0]


def test_what_is_kept_for_later_steps_is_no_activation() -> None:
    table = slots(("F0.0", 0, 2), ("B0.0", 2, 4), ("F0.0", 4, 5), ("B0.0", 5, 6))
    changes = [(1, 10), (2, 20), (2, -20), (9, 1), (3, 30), (9, -1)]
    assert activations(changes, table, [0, 0, 0, 0, 1, 1]) == [0, 20, 0, 0, 30, 30]
    assert activations(changes, table, [0, 0, 0, 0, 0, 0]) == [10, 30, 10, 10, 40, 40]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 4), st.integers(1, 99)), max_size=25))
def test_activations_are_those_of_a_plain_count(actions: list[tuple[bool, int, int]]) -> None:
    """Twin: whoever is held beyond the forward that it was allocated in."""
    table = slots(("F0.0", 0, 5), ("F0.1", 5, 9), ("B0.0", 9, 14), ("B0.1", 14, 30))
    changes, held, lives = [], {}, []
    for at, (allocates, address, size) in enumerate(actions):
        changes.append((address, size if allocates else -size))
        born = held.pop(address, None)
        if born is not None:
            lives.append((born, at, changes[born][1]))
        if allocates:
            held[address] = at
    lives += [(born, len(actions), changes[born][1]) for born in held.values()]
    slot = [0] * 5 + [1] * 4 + [2] * 5 + [3] * 16
    kept = [
        one
        for one in lives
        if slot[one[0]] < 2 and (one[1] == len(actions) or slot[one[1]] != slot[one[0]])
    ]
    wanted = [
        sum(size for born, died, size in kept if born <= at < died) for at in range(len(actions))
    ]
    assert activations(changes, table) == wanted


def _laughing(levels: int) -> list[Any]:
    value: list[Any] = ["ha"]
    for _ in range(levels):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    "odd",
    [_laughing(60), 10**5001, None, {"a": 1}],
    ids=["laughing", "long number", "nothing", "object"],
)
def test_a_frame_of_anything_else_than_texts_says_nothing(tmp_path: Path, odd: Any) -> None:
    """A list that holds lists twice, 60 deep, would be 2**60 texts."""
    block = {"size": 512, "state": "active_allocated", "frames": [{"filename": odd, "name": odd}]}
    content = {"segments": [{"device": 0, "blocks": [block]}], "device_traces": []}
    (tmp_path / "rank0.pickle").write_bytes(pickle.dumps(content, 4))
    (block,) = read_snapshot(tmp_path / "rank0.pickle").blocks
    assert block.origin == Origin.OTHER


def test_what_a_pickle_says_many_times_over_is_refused(tmp_path: Path) -> None:
    """40 KB would be a hundred million blocks."""
    block = {"size": 512, "state": "active_allocated"}
    segment = {"device": 0, "blocks": [block] * 10_000}
    content = {"segments": [segment] * 10_000, "device_traces": []}
    (tmp_path / "rank0.pickle").write_bytes(pickle.dumps(content, 4))
    with pytest.raises(DpprofError, match=r"rank0\.pickle: 1000\d+ blocks .* over and over"):
        read_snapshot(tmp_path / "rank0.pickle")


@pytest.mark.parametrize(
    "content",
    [
        {"segments": [{"total_size": 2**62 - 1, "blocks": []}] * 8, "device_traces": []},
        {
            "segments": [],
            "device_traces": [
                [{"action": "alloc", "time_us": 1, "addr": at, "size": 2**61} for at in range(9)]
            ],
        },
    ],
)
def test_sizes_that_no_column_could_add_up_are_refused(tmp_path: Path, content: Any) -> None:
    (tmp_path / "rank0.pickle").write_bytes(pickle.dumps(content, 4))
    with pytest.raises(DpprofError, match="add up to more than any memory"):
        read_snapshot(tmp_path / "rank0.pickle")


def test_a_block_has_the_size_that_the_allocator_says() -> None:
    """Not the one that its request is rounded to: what is left of 2 MiB is not split off."""
    size = 2 * 2**20
    alloc = AllocatorEntry(1, AllocatorAction.ALLOCATE, 0, size - 1000, Origin.OTHER)
    blocks = (SnapshotBlock(0, size, Origin.OTHER), SnapshotBlock(size, size + 513, Origin.OTHER))
    found = find_allocations(MemorySnapshot(0, (alloc,), blocks, 0, 0))
    assert found.size.tolist() == [size, size + 513]
