"""A length that no order of a problem's slots can go below, whatever its memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dpprof.schedules.actions import Operation
from dpprof.search.problem import OPERATIONS, Array, Problem

_F, _B, _I, _W = (OPERATIONS.index(operation) for operation in Operation)


class _RankLoad(NamedTuple):
    """Least times on a rank over its directions: of its operations, and of what is around them."""

    forward: int
    backward: int
    inputs: int
    weights: int
    pair: int
    first_forward: int  # before any F can start
    first_backward: int  # before any B, I or pair can start
    after_forward: int  # from the end of the last F's slot to the end of the step
    after_backward: int  # from the end of the last B's slot to the end of the step


def lower_bound(problem: Problem) -> int:
    """The bound in ns: the largest over ranks of `_rank_bound`."""
    return max(_rank_bound(rank, _chunks(problem)) for rank in _ranks(problem))


def _chunks(problem: Problem) -> int:
    return problem.micro_batches * problem.directions


def _rank_bound(rank: _RankLoad, chunks: int) -> int:
    """The least over all numbers of pairs and of split backwards that a rank may choose.

    Before `first_backward` only forwards that are no part of a pair can run; after the last F only
    backwards that are none; after the last backward only weight gradients. What does not fit there
    lies between, all forwards end `after_forward` before the step, all backwards start after
    `first_backward`, and all work lies after `first_forward`.
    """
    pairs = np.arange(chunks)[:, None]  # the first forward has no backward to go with
    split = np.arange(chunks + 1)[None, :]
    alone = chunks - pairs
    whole = np.maximum(alone - split, 0)
    forwards = alone * rank.forward
    backwards = whole * rank.backward + np.minimum(split, alone) * rank.inputs
    inner = forwards + pairs * rank.pair + backwards
    ahead = np.minimum(forwards, max(0, rank.first_backward - rank.first_forward))
    behind = np.minimum(backwards, max(0, rank.after_forward - rank.after_backward))
    between = inner - ahead - behind
    ends = rank.first_backward + max(rank.after_forward, rank.after_backward)
    by_order = np.where(between > 0, ends + between, 0)
    paired = pairs * rank.pair
    by_forwards = rank.first_forward + forwards + paired + rank.after_forward
    by_backwards = rank.first_backward + backwards + paired + rank.after_backward
    by_work = rank.first_forward + inner + np.minimum(split, alone) * rank.weights
    longest = np.maximum(np.maximum(by_order, by_work), np.maximum(by_forwards, by_backwards))
    return int(np.where(split <= alone, longest, np.iinfo(np.int64).max).min())


def _ranks(problem: Problem) -> list[_RankLoad]:
    """The least times of every rank, chains followed through all stages."""
    least = _least(problem)
    forward, backward = _links(problem, 0), _links(problem, 1)
    ahead = _distances(problem, forward, least[:, 0])
    # The first backward of a stream follows its first forward through the last stage.
    back = _first_backwards(problem, ahead, least)
    tail = _tails(problem, backward, least[:, 1])
    forward_tail = _forward_tails(problem, tail, least)
    d = problem.directions
    return [
        _RankLoad(
            *_own(problem, rank),
            int(ahead[rank * d : rank * d + d].min()),
            int(back[rank * d : rank * d + d].min()),
            int(forward_tail[rank * d : rank * d + d].min()),
            int(tail[rank * d : rank * d + d].min()),
        )
        for rank in range(problem.ranks)
    ]


def _own(problem: Problem, rank: int) -> tuple[int, int, int, int, int]:
    lengths, d = problem.lengths[rank], problem.directions
    singles = [int(lengths[number * d : number * d + d].min()) for number in (_F, _B, _I, _W)]
    forward, backward, inputs, weights = singles
    return forward, backward, inputs, weights, int(lengths[4 * d :].min())


def _least(problem: Problem) -> Array:
    """(ranks * directions, 2): the least time of a slot that holds the place's F, or B or I."""
    d = problem.directions
    rows = []
    for rank in range(problem.ranks):
        lengths = problem.lengths[rank]
        pairs = lengths[4 * d :].reshape(d, d)
        for direction in range(d):
            forward = min(lengths[_F * d + direction], pairs[direction].min())
            single = min(lengths[_B * d + direction], lengths[_I * d + direction])
            rows.append((forward, min(single, pairs[:, direction].min())))
    return np.array(rows, np.int64)


def _links(problem: Problem, way: int) -> list[tuple[int, int, int]]:
    """(from, to, ns): where results of F (0) or B (1) go, and how long that takes."""
    duration = int(problem.message[1])
    return [
        (at, int(link[way]), duration if link[2 + way] >= 0 else 0)
        for at, link in enumerate(problem.links)
        if link[way] >= 0
    ]


def _distances(problem: Problem, links: list[tuple[int, int, int]], least: Array) -> Array:
    """The earliest start at every place when the chain alone decides."""
    start = np.zeros(problem.ranks * problem.directions, np.int64)
    for _ in range(len(start)):
        for source, target, message in links:
            start[target] = max(start[target], start[source] + least[source] + message)
    return start


def _first_backwards(problem: Problem, ahead: Array, least: Array) -> Array:
    start = ahead + least[:, 0]
    for _ in range(len(start)):
        for source, target, message in _links(problem, 1):
            start[target] = max(start[target], start[source] + least[source, 1] + message)
    return start


def _tails(problem: Problem, links: list[tuple[int, int, int]], least: Array) -> Array:
    """From the end of a place's backward to the end of the chain."""
    tail = np.zeros(problem.ranks * problem.directions, np.int64)
    for _ in range(len(tail)):
        for source, target, message in links:
            tail[source] = max(tail[source], message + least[target] + tail[target])
    return tail


def _forward_tails(problem: Problem, tail: Array, least: Array) -> Array:
    """From the end of a place's forward: through the later stages, and its own backward at last."""
    after = least[:, 1] + tail
    for _ in range(len(after)):
        for source, target, message in _links(problem, 0):
            after[source] = max(after[source], message + least[target, 0] + after[target])
    return after
