"""Reads a pickle of plain data: containers, numbers and texts, and nothing that could run code.

`pickle.load` runs what the file says; even with all classes forbidden its memory table can be made
to take any amount of memory by a few bytes. So the opcodes that plain data needs are walked here,
and every other one is refused before anything is done with it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dpprof.errors import DpprofError

MOST_OPCODES = 60_000_000
"""More would take gigabytes of memory; each opcode makes one object of less than 100 bytes."""

_Step = Callable[["_Machine"], None]


class _Refused(Exception):
    """What is wrong with the opcode; becomes a `DpprofError` that names file and byte."""


class _Machine:
    """The stack machine of a pickle; has state while it reads one file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.started = 0  # position of the opcode that is being done
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # the stacks below each mark
        self.memo: list[Any] = []

    def take(self, count: int) -> bytes:
        """The next bytes; never more than there are."""
        end = self.position + count
        if end > len(self.data):
            raise _Refused("ends in the middle")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def number(self, bytes_: int) -> int:
        """An unsigned number."""
        return int.from_bytes(self.take(bytes_), "little")

    def since_mark(self) -> list[Any]:
        """What was pushed since the last mark, which goes."""
        items, self.stack = self.stack, self.outer.pop()
        return items


def load_plain(data: bytes, file: Path, most_opcodes: int = MOST_OPCODES) -> Any:
    """The plain data in a pickle of protocol 2 to 5.

    Raises `DpprofError` that names `file` and the byte for anything else: objects, functions,
    persistent references, a damaged or a huge pickle. Nothing in the file is run or imported.
    """
    machine = _Machine(data)
    if data[:1] != b"\x80":
        raise DpprofError(f"{file}: not a pickle of protocol 2 or later; write the file again")
    try:
        if _run(machine, most_opcodes):
            return machine.stack.pop()
    except (_Refused, IndexError, TypeError, AttributeError, ValueError) as error:
        reason = str(error) if isinstance(error, _Refused) else f"is damaged ({error})"
        at = machine.started
        raise DpprofError(
            f"{file}: the pickle {reason}, at byte {at}; write it again with "
            "torch.cuda.memory._dump_snapshot"
        ) from error
    raise DpprofError(
        f"{file}: holds more than {most_opcodes} values; record with a smaller max_entries"
    )


def _run(machine: _Machine, most_opcodes: int) -> bool:
    """Whether the end was reached; the opcodes that most of a snapshot is made of come first."""
    data, memo = machine.data, machine.memo
    for _ in range(most_opcodes):
        at = machine.started = machine.position
        opcode = data[at]
        if opcode == _GET_1:
            machine.stack.append(memo[data[at + 1]])
            machine.position = at + 2
        elif opcode == _GET_4:
            machine.stack.append(memo[int.from_bytes(data[at + 1 : at + 5], "little")])
            machine.position = at + 5
        elif opcode == _MEMOIZE:
            memo.append(machine.stack[-1])
            machine.position = at + 1
        elif opcode == _INTEGER:
            end = at + 2 + data[at + 1]
            machine.stack.append(int.from_bytes(data[at + 2 : end], "little", signed=True))
            machine.position = end
        elif opcode == _STOP:
            return True
        else:
            machine.position = at + 1
            step = _STEPS[opcode]
            if step is None:
                raise _Refused(_refusal(opcode))
            step(machine)
    return False


def _refusal(opcode: int) -> str:
    if opcode in _OBJECTS:
        return "holds an object, not plain data, and is not loaded"
    return f"has the opcode {bytes([opcode])!r}, which plain data does not need"


_STOP, _GET_1, _GET_4, _MEMOIZE, _INTEGER = b".hj\x94\x8a"
_OBJECTS = b"cRibo\x81\x82\x83\x84\x92\x93QP\x97\x98"
"""Opcodes that import, call, build or refer to something outside."""


def _push(value: Any) -> _Step:
    return lambda machine: machine.stack.append(value)


def _unsigned(bytes_: int) -> _Step:
    return lambda machine: machine.stack.append(machine.number(bytes_))


def _text(bytes_: int) -> _Step:
    def step(machine: _Machine) -> None:
        text = machine.take(machine.number(bytes_))
        machine.stack.append(text.decode("utf-8", "surrogatepass"))

    return step


def _bytes(bytes_: int) -> _Step:
    def step(machine: _Machine) -> None:
        machine.stack.append(machine.take(machine.number(bytes_)).decode("latin-1"))

    return step


def _long(machine: _Machine) -> None:
    data = machine.take(machine.number(4))
    machine.stack.append(int.from_bytes(data, "little", signed=True))


def _signed(machine: _Machine) -> None:
    machine.stack.append(int.from_bytes(machine.take(4), "little", signed=True))


def _float(machine: _Machine) -> None:
    machine.stack.append(struct.unpack(">d", machine.take(8))[0])


def _skip(bytes_: int) -> _Step:
    def step(machine: _Machine) -> None:
        machine.take(bytes_)

    return step


def _mark(machine: _Machine) -> None:
    machine.outer.append(machine.stack)
    machine.stack = []


def _tuple(count: int) -> _Step:
    def step(machine: _Machine) -> None:
        if len(machine.stack) < count:
            raise _Refused("is damaged (a tuple of nothing)")
        machine.stack[-count:] = [tuple(machine.stack[-count:])]

    return step


def _marked_tuple(machine: _Machine) -> None:
    items = machine.since_mark()
    machine.stack.append(tuple(items))


def _append(machine: _Machine) -> None:
    item = machine.stack.pop()
    _container(machine, list).append(item)


def _appends(machine: _Machine) -> None:
    items = machine.since_mark()
    _container(machine, list).extend(items)


def _set_item(machine: _Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _fill(_container(machine, dict), [key, value])


def _set_items(machine: _Machine) -> None:
    items = machine.since_mark()
    _fill(_container(machine, dict), items)


def _container(machine: _Machine, kind: type) -> Any:
    if type(machine.stack[-1]) is not kind:
        raise _Refused("is damaged (an item for something that holds none)")
    return machine.stack[-1]


def _fill(target: dict[Any, Any], items: list[Any]) -> None:
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) is not str and type(key) is not int:
            raise _Refused("has a key that is neither a text nor a number")
        target[key] = value


def _put(bytes_: int) -> _Step:
    """Writers number what they remember from 0 on; anything else would only take memory."""

    def step(machine: _Machine) -> None:
        place = machine.number(bytes_)
        if place > len(machine.memo):
            raise _Refused("is damaged (memory out of order)")
        machine.memo[place : place + 1] = [machine.stack[-1]]

    return step


def _new_dict(machine: _Machine) -> None:
    machine.stack.append({})


def _new_list(machine: _Machine) -> None:
    machine.stack.append([])


_BY_OPCODE: dict[bytes, _Step] = {
    b"\x80": _skip(1),  # PROTO
    b"\x95": _skip(8),  # FRAME
    b"(": _mark,
    b"}": _new_dict,
    b"]": _new_list,
    b")": _push(()),
    b"t": _marked_tuple,
    b"\x85": _tuple(1),
    b"\x86": _tuple(2),
    b"\x87": _tuple(3),
    b"a": _append,
    b"e": _appends,
    b"s": _set_item,
    b"u": _set_items,
    b"N": _push(None),
    b"\x88": _push(True),
    b"\x89": _push(False),
    b"J": _signed,
    b"K": _unsigned(1),
    b"M": _unsigned(2),
    b"\x8b": _long,
    b"G": _float,
    b"\x8c": _text(1),
    b"X": _text(4),
    b"\x8d": _text(8),
    b"U": _bytes(1),
    b"T": _bytes(4),
    b"C": _bytes(1),
    b"B": _bytes(4),
    b"\x8e": _bytes(8),
    b"q": _put(1),
    b"r": _put(4),
}

_STEPS: list[_Step | None] = [_BY_OPCODE.get(bytes([opcode])) for opcode in range(256)]
