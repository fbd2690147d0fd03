"""The text of dpprof's labels: what a captured trace says about each slot, component and message.

Kineto drops the arguments of `record_function` and gloo writes no peer or sequence number, so
everything the analyzers need is in the label's name::

    dpprof:slot slot=F0.3&B1.2
    dpprof:compute slot=F0.3&B1.2 action=B1.2 part=W component=mlp layer=2 stage=3
    dpprof:dispatch slot=F0.3 action=F0.3 part=F component=dispatch layer=0 stage=1 group=ep.0
        bytes=8192 sequence=7
    dpprof:p2p slot=F0.3 action=F0.3 part=F stage=1 way=recv group=0>1 peer=0 bytes=64 sequence=3

The word after ``dpprof:`` is ``slot`` or one of the kinds of `dpprof.tables.kinds`. A message
carries the action and stage of its *producer* on both sides. Values hold no blanks.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

PREFIX = "dpprof:"
SLOT_LABEL = "slot"

_INTEGERS = frozenset({"layer", "stage", "peer", "bytes", "sequence"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The fields of a label; empty text and -1 mean "not said" and are left out of the text."""

    kind: str
    slot: str = ""
    action: str = ""
    part: str = ""
    component: str = ""
    layer: int = -1
    stage: int = -1
    way: str = ""  # send or recv
    group: str = ""
    peer: int = -1
    bytes: int = -1
    sequence: int = -1

    def __str__(self) -> str:
        words = [PREFIX + self.kind]
        for name in _FIELDS:
            value = getattr(self, name)
            if value not in ("", -1):
                words.append(f"{name}={value}")
        return " ".join(words)


_FIELDS = tuple(field.name for field in fields(Label) if field.name != "kind")
_KNOWN = frozenset(_FIELDS)


def parse_label(text: str) -> Label | None:
    """Read a label back; None for a name that is not a label, or that is damaged."""
    if not text.startswith(PREFIX):
        return None
    kind, *words = text[len(PREFIX) :].split(" ")
    values: dict[str, str | int] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in _KNOWN or name in values:
            return None
        if name not in _INTEGERS:
            values[name] = value
        elif value.isascii() and value.isdigit() and len(value) <= 18:
            values[name] = int(value)
        else:
            return None
    return Label(kind=kind, **values) if kind else None  # type: ignore[arg-type]
