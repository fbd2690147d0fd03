"""Events decoded by msgspec to the rows that the compiled engine makes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from dpprof.trace.read.columns import (
    CATEGORIES,
    DEVICE_CATEGORIES,
    SCHEDULE_CALLS,
    SCHEDULE_FILE,
    Category,
    packed_wait,
)
from dpprof.trace.read.engines import (
    BEGINS,
    COLLECTIVE,
    ENDS,
    MAX_TEXT_BYTES,
    MEMORY,
    MESSAGES,
    OTHER,
    PAIR,
    SPAN,
    ScannedBlock,
)
from dpprof.trace.read.json_values import (
    Token,
    integer,
    is_label,
    is_wording,
    nanoseconds,
    small_integer,
)

_ABSENT = msgspec.Raw()
_CATEGORY_TOKENS = {f'"{text}"'.encode(): int(code) for text, code in CATEGORIES.items()}
_SPAN, _INSTANT, _METADATA = b'"X"', b'"i"', b'"M"'
_HALVES = {b'"B"': BEGINS, b'"E"': ENDS}
_MEMORY, _THREAD_NAME, _PROCESS_NAME = b'"[memory]"', b'"thread_name"', b'"process_name"'
_CALL_ENDS = tuple(f'{text}"'.encode() for text in SCHEDULE_CALLS)
_CALL_FILE = SCHEDULE_FILE.encode()
_COLLECTIVE_TEXTS = 9
_NO_COLLECTIVE = (_ABSENT,) * 14
_NO_TEXT = b'""'


def _key(name: str) -> Any:
    return msgspec.field(name=name, default=_ABSENT)


class ParsedEvent(msgspec.Struct, gc=False):
    """One event, its values as written."""

    ph: msgspec.Raw = _ABSENT
    cat: msgspec.Raw = _ABSENT
    name: msgspec.Raw = _ABSENT
    pid: msgspec.Raw = _ABSENT
    tid: msgspec.Raw = _ABSENT
    ts: msgspec.Raw = _ABSENT
    dur: msgspec.Raw = _ABSENT
    args: msgspec.Raw = _ABSENT


class Arguments(msgspec.Struct, gc=False):
    """The arguments that are read, as written."""

    name: msgspec.Raw = _ABSENT
    stream: msgspec.Raw = _ABSENT
    device: msgspec.Raw = _ABSENT
    correlation: msgspec.Raw = _ABSENT
    correlation_id: msgspec.Raw = _key("correlation id")
    bytes: msgspec.Raw = _ABSENT
    dtype: msgspec.Raw = _ABSENT
    collective: msgspec.Raw = _key("Collective name")
    group: msgspec.Raw = _key("Process Group Name")
    description: msgspec.Raw = _key("Process Group Description")
    ranks: msgspec.Raw = _key("Process Group Ranks")
    elements: msgspec.Raw = _key("In msg nelems")
    source: msgspec.Raw = _key("Src Rank")
    destination: msgspec.Raw = _key("Dst Rank")
    sequence: msgspec.Raw = _key("Seq")
    size: msgspec.Raw = _key("Group size")
    id: msgspec.Raw = _key("Comms Id")
    inputs: msgspec.Raw = _key("Concrete Inputs")
    shapes: msgspec.Raw = _key("Input Dims")
    types: msgspec.Raw = _key("Input type")
    change: msgspec.Raw = _key("Bytes")
    allocated: msgspec.Raw = _key("Total Allocated")
    reserved: msgspec.Raw = _key("Total Reserved")
    device_type: msgspec.Raw = _key("Device Type")
    device_id: msgspec.Raw = _key("Device Id")
    address: msgspec.Raw = _key("Addr")
    wait_stream: msgspec.Raw = _key("wait_on_stream")
    wait_record: msgspec.Raw = _key("wait_on_cuda_event_record_corr_id")


_ARGUMENTS = msgspec.json.Decoder(Arguments)
_NO_ARGUMENTS = Arguments()


class _WrongError(Exception):
    """A value has the wrong type."""


class EventRows:
    """Takes events one by one and gives their rows; has state while filling up."""

    def __init__(self) -> None:
        self.skipped = 0
        self.skipped_work = 0
        self.skipped_memory = 0
        self.events = 0
        self._spans: list[tuple[int, ...]] = []
        self._memory: list[tuple[int, ...]] = []
        self._thread_names: list[tuple[int, int]] = []
        self._process_names: list[tuple[int, int]] = []
        self._names: dict[Token, int] = {}
        self._texts: dict[Token, int] = {}
        self._streams: dict[Token, int] = {}
        self._threads: dict[tuple[int, int], int] = {}
        self._collectives: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}

    def add(self, events: Iterable[ParsedEvent]) -> None:
        """Take these events, in file order."""
        for event in events:
            self.events += 1
            self._add(event)

    def _add(self, event: ParsedEvent) -> None:
        kind, name = bytes(event.ph), bytes(event.name)
        category = _category(event, name)
        has_kind = _is_text(kind)
        if kind == _METADATA:
            if _is_sound(event):
                self._add_naming(event, name)
            return
        half = _HALVES.get(kind, 0)
        if has_kind and not half and kind not in (_SPAN, _INSTANT):
            return
        if category is None and name != _MEMORY and not half:
            return
        try:
            if not has_kind or not _is_sound(event):
                raise _WrongError
            if half:
                self._add_span(event, OTHER if category is None else category, half)
            elif kind == _SPAN and category is not None:
                self._add_span(event, category)
            elif kind == _INSTANT and name == _MEMORY:
                self._add_memory(event)
        except _WrongError:
            self.skipped += 1
            self.skipped_work += category in DEVICE_CATEGORIES
            self.skipped_memory += category is None and name == _MEMORY

    def _add_span(self, event: ParsedEvent, category: int, half: int = 0) -> None:
        start_ns = nanoseconds(bytes(event.ts))
        duration_ns = half or nanoseconds(bytes(event.dur))
        if start_ns is None or duration_ns is None or (duration_ns < 0 and not half):
            raise _WrongError
        arguments = _arguments(event)
        stream = bytes(arguments.stream)
        correlation = arguments.correlation
        if correlation is _ABSENT:
            correlation = arguments.correlation_id
        numbers = (_integer(correlation), _integer(arguments.bytes))
        if category == Category.SYNC:
            numbers = (numbers[0], _wait(arguments))
        device = _small(arguments.device)
        if not is_label(stream):
            raise _WrongError
        collective = self._collective(arguments, bytes(event.name))
        self._spans.append(
            (
                start_ns,
                duration_ns,
                *numbers,
                _number(self._names, bytes(event.name) or _NO_TEXT),
                self._thread(event),
                -1 if stream in (b"", b"null") else _number(self._streams, stream),
                device,
                collective,
                category,
            )
        )

    def _collective(self, arguments: Arguments, name: Token) -> int:
        is_message = name in MESSAGES and bytes(arguments.inputs)[:1] == b"["
        is_message &= not bytes(arguments.collective)
        inputs = (arguments.inputs, arguments.shapes, arguments.types)
        raw = (
            msgspec.Raw(name) if is_message else arguments.collective,
            arguments.group,
            arguments.description,
            arguments.ranks,
            arguments.dtype,
            arguments.id,
            *(inputs if is_message else (_ABSENT,) * len(inputs)),
            arguments.elements,
            arguments.source,
            arguments.destination,
            arguments.sequence,
            arguments.size,
        )
        if raw == _NO_COLLECTIVE:
            return -1
        texts = [bytes(one) for one in raw[:_COLLECTIVE_TEXTS]]
        if not all(is_wording(text) for text in texts):
            raise _WrongError
        numbers = tuple(_integer(one) for one in raw[_COLLECTIVE_TEXTS:])
        if texts[0] in (b"", b"null"):
            return -1
        codes = tuple(_number(self._texts, text or b"null") for text in texts)
        return _number(self._collectives, (numbers, codes))

    def _add_memory(self, event: ParsedEvent) -> None:
        at_ns = nanoseconds(bytes(event.ts))
        if at_ns is None:
            raise _WrongError
        arguments = _arguments(event)
        self._memory.append(
            (
                at_ns,
                _integer(arguments.change),
                _integer(arguments.allocated),
                _integer(arguments.reserved),
                _address(arguments.address),
                _small(arguments.device_type),
                _small(arguments.device_id),
            )
        )

    def _add_naming(self, event: ParsedEvent, what: Token) -> None:
        name = bytes(_arguments(event).name)
        if not _is_text(name) or not 2 < len(name) <= MAX_TEXT_BYTES:
            return
        if what == _THREAD_NAME:
            self._thread_names.append((self._thread(event), _number(self._texts, name)))
        elif what == _PROCESS_NAME:
            process = _number(self._texts, bytes(event.pid) or b"null")
            self._process_names.append((process, _number(self._texts, name)))

    def _thread(self, event: ParsedEvent) -> int:
        pid = _number(self._texts, bytes(event.pid) or b"null")
        tid = _number(self._texts, bytes(event.tid) or b"null")
        return _number(self._threads, (pid, tid))

    def block(self, **where: Any) -> ScannedBlock:
        """The rows so far, with `where` the scan stands."""
        collectives = [(*key, 0) for key in self._collectives]
        return ScannedBlock(
            skipped=self.skipped,
            skipped_work=self.skipped_work,
            skipped_memory=self.skipped_memory,
            events=self.events,
            spans=np.array(self._spans, SPAN).tobytes(),
            memory=np.array(self._memory, MEMORY).tobytes(),
            thread_names=np.array(self._thread_names, PAIR).tobytes(),
            process_names=np.array(self._process_names, PAIR).tobytes(),
            names=list(self._names),
            texts=list(self._texts),
            streams=list(self._streams),
            threads=np.array(list(self._threads), PAIR).tobytes(),
            collectives=np.array(collectives, COLLECTIVE).tobytes(),
            **where,
        )


def _category(event: ParsedEvent, name: Token) -> int | None:
    category = bytes(event.cat)
    if category != b'"python_function"':
        return _CATEGORY_TOKENS.get(category)
    is_call = name.endswith(_CALL_ENDS) and _CALL_FILE in name
    return int(Category.ANNOTATION) if is_call else None


def _number(table: dict[Any, int], key: Any) -> int:
    return table.setdefault(key, len(table))


def _is_text(token: Token) -> bool:
    return not token or token.startswith(b'"')


def _is_sound(event: ParsedEvent) -> bool:
    arguments = bytes(event.args)
    return (
        _is_text(bytes(event.cat))
        and _is_text(bytes(event.name))
        and len(event.name) <= MAX_TEXT_BYTES
        and is_label(bytes(event.pid))
        and is_label(bytes(event.tid))
        and (arguments.startswith(b"{") or arguments in (b"", b"null"))
    )


def _arguments(event: ParsedEvent) -> Arguments:
    raw = event.args
    return _ARGUMENTS.decode(raw) if bytes(raw).startswith(b"{") else _NO_ARGUMENTS


def _integer(token: msgspec.Raw) -> int:
    if token is _ABSENT:
        return -1
    value = integer(bytes(token))
    if value is None:
        raise _WrongError
    return value


def _address(token: msgspec.Raw) -> int:
    """An address that is written in another way tells nothing, and spoils nothing."""
    value = None if token is _ABSENT else integer(bytes(token))
    return -1 if value is None else value


def _wait(arguments: Arguments) -> int:
    """What a stream waits for, packed; -1 where it is not told."""
    return packed_wait(_address(arguments.wait_stream), _address(arguments.wait_record))


def _small(token: msgspec.Raw) -> int:
    if token is _ABSENT:
        return -1
    value = small_integer(bytes(token))
    if value is None:
        raise _WrongError
    return value
