"""What a collective's arguments say: Kineto's own words, or the inputs of a message's call.

Without Kineto's words (gloo, and older versions) ``record_shapes=True`` alone gives the inputs of
``c10d::send(tensors, group, to, tag)`` and ``c10d::recv_``, and those of the span in which gloo
sends or receives.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import msgspec

from dpprof.trace.read.columns import Collective

_KINETO_TEXTS = 6  # the other texts are a message's inputs


def make_collective(texts: Sequence[str], numbers: Sequence[int]) -> Collective:
    """The collective of these texts and numbers, in the order of `engines.COLLECTIVE`."""
    name, group, description, ranks, dtype, identity = texts[:_KINETO_TEXTS]
    elements, source, destination, sequence, size = numbers
    inputs, shapes, types = (_listed(text) for text in texts[_KINETO_TEXTS:])
    peer, tag = (_integer(one) for one in (inputs[2:4] if len(inputs) >= 4 else ("", "")))
    if inputs:
        name = "send" if name.endswith("send") else "recv"
        elements, dtype = _elements(shapes), types[0] if len(inputs) == 1 and types else ""
        source, destination = (-1, peer) if name == "send" else (peer, -1)
    return Collective(
        name=name,
        group=group,
        description=description,
        ranks=ranks,
        dtype=dtype if isinstance(dtype, str) else "",
        elements=elements,
        source=source,
        destination=destination,
        sequence=sequence,
        size=size,
        identity=identity,
        tag=tag,
    )


def _listed(text: str) -> list[Any]:
    try:
        return msgspec.json.decode(text or "[]", type=list[Any])
    except (msgspec.DecodeError, RecursionError):
        return []


def _integer(text: Any) -> int:
    return int(text) if isinstance(text, str) and text.isdecimal() and len(text) < 10 else -1


def _elements(shapes: list[Any]) -> int:
    """Of all tensors among the inputs: shapes are lists of numbers, of several tensors of lists."""
    first = shapes[0] if shapes else []
    tensors = first if first and isinstance(first[0], list) else [first]
    if not all(isinstance(size, int) for tensor in tensors for size in tensor):
        return -1
    return sum(prod(tensor) for tensor in tensors) if first else -1
