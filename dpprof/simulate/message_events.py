"""Events of messages: one row on the sender's rank and one on the receiver's."""

from __future__ import annotations

import numpy as np

from dpprof.simulate.block import (
    KINDS,
    NAMES,
    P2P,
    PARTS,
    RECEIVE,
    SEND,
    EventBlock,
    Integers,
    of_member,
    receive_lane,
    send_lane,
)
from dpprof.simulate.engine import Messages, SimulatedStep
from dpprof.simulate.slot_columns import SlotColumns
from dpprof.simulate.timing import OPERATIONS


def message_blocks(step: SimulatedStep, slots: SlotColumns) -> list[EventBlock]:
    """The senders' rows and the receivers' rows; both name the slot and action that sent."""
    messages, pp = step.messages, step.schedule.pp
    first = np.cumsum([0, *(len(rank) for rank in step.schedule.ranks)])
    row = first[messages.source] + messages.producer_slot
    operation = slots.operation[row]
    forward = operation == OPERATIONS.index("F")
    forward |= (operation == OPERATIONS.index("F&B")) & (messages.member == 0)
    _, group, sequence = number_edges(messages)
    start = _on_its_lane(messages, group)
    sides = (
        (messages.source, messages.target, send_lane(messages.target), SEND),
        (messages.target, messages.source, receive_lane(messages.source, pp), RECEIVE),
    )
    return [
        EventBlock(
            slot=row,
            rank=rank,
            start=start,
            end=messages.arrival_ns,
            stage=of_member(slots.stage, row, messages.member),
            direction=of_member(slots.direction, row, messages.member),
            micro_batch=of_member(slots.micro_batch, row, messages.member),
            lane=lane,
            kind=np.full_like(row, KINDS.index(P2P)),
            name=np.full_like(row, NAMES.index(way)),
            part=np.where(forward, PARTS.index("F"), PARTS.index("I")),
            component=np.zeros_like(row),
            layer=np.full_like(row, -1),
            group=group,
            peer=peer,
            bytes=np.full_like(row, step.timing.message.bytes),
            sequence=sequence,
        )
        for rank, peer, lane, way in sides
    ]


def _on_its_lane(messages: Messages, edge: Integers) -> Integers:
    """Starts of the rows: a message that travels behind another shows once that has arrived."""
    order = np.argsort(edge, kind="stable")
    start, arrival = messages.start_ns[order], messages.arrival_ns[order]
    follows = edge[order][1:] == edge[order][:-1]
    start[1:] = np.where(follows, np.maximum(start[1:], arrival[:-1]), start[1:])
    result = np.empty_like(start)
    result[order] = start
    return result


def number_edges(messages: Messages) -> tuple[tuple[str, ...], Integers, Integers]:
    """Names of the edges (the first is empty), and each message's edge and number on it."""
    most = 1 + int(messages.target.max(initial=0))
    edges, edge = np.unique(messages.source * most + messages.target, return_inverse=True)
    names = ("", *(f"{code // most}>{code % most}" for code in edges.tolist()))
    # Messages are in sending order, so those of an edge are numbered as they come.
    order = np.argsort(edge, kind="stable")
    counts = np.bincount(edge, minlength=len(edges))
    sequence = np.empty(len(edge), dtype=np.int64)
    sequence[order] = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    return names, edge + 1, sequence
