"""The eight phases that DualPipe and DualPipeV share, and what they promise."""

from __future__ import annotations

from collections.abc import Iterator

from dpprof.schedules.actions import Slot
from dpprof.schedules.chunk_counter import ChunkCounter
from dpprof.schedules.definition import Bubble, ChunkCosts

BUBBLE_FORM = "(PP/2-1)(F&B+B-3W)"


def eight_phases(depth: int, half: int, micro_batches: int, near: int = 0) -> Iterator[Slot]:
    """The slots of the rank at `depth` from its end of `half` ranks; names are DeepSeek's.

    `micro_batches` is the number in each direction. `near` is the direction that enters at the
    rank's own end and is called 0 in the names of the phases: "nF0B1F1B0" is n times F0 with B1,
    then F1 with B0.
    """
    chunk = ChunkCounter(near)
    to_middle, from_end = half - depth - 1, depth + 1
    for _ in range(2 * to_middle):  # 1: nF0
        yield chunk.forward(0)
    for _ in range(from_end):  # 2: nF0F1
        yield chunk.forward(0)
        yield chunk.forward(1)
    for _ in range(to_middle):  # 3: nI1W1F1
        yield chunk.input_gradient(1)
        yield chunk.weight_gradient()
        yield chunk.forward(1)
    yield from _main_phase(chunk, to_middle == 0, micro_batches - 2 * half + from_end)  # 4
    for _ in range(to_middle):  # 5: nB1F1B0
        yield chunk.backward(1)
        yield chunk.forward(1) + chunk.backward(0)
    for turn in range(from_end):  # 6: nB1B0, the second half without weight gradients
        yield chunk.backward(1) if 2 * turn < from_end else chunk.input_gradient(1)
        yield chunk.backward(0) if 2 * turn + 1 < from_end else chunk.input_gradient(0)
    for _ in range(to_middle):  # 7: nWI0
        yield chunk.weight_gradient()
        yield chunk.input_gradient(0)
    for _ in range(from_end):  # 8: nW
        yield chunk.weight_gradient()


def _main_phase(chunk: ChunkCounter, middle: bool, turns: int) -> Iterator[Slot]:
    """4: nF0B1F1B0; a middle rank's first F0 and B1 are not overlapped, to shrink the bubble."""
    for turn in range(turns):
        if middle and turn == 0:
            yield chunk.forward(0)
            yield chunk.backward(1)
        else:
            yield chunk.forward(0) + chunk.backward(1)
        yield chunk.forward(1) + chunk.backward(0)


def bidirectional_bubble(half: int, costs: ChunkCosts) -> Bubble:
    """The published bubble, and the idle time by depth (`half` entries) as dependencies give it.

    With I <= F the rank at depth h idles (half-1)(F&B+F-W-min(W,I)) less (F+B-F&B) for each rank
    between it and the second from the middle: outer ranks overlap fewer pairs and so are busier.
    The published form is that of the middle ranks where I = F and W <= F.
    """
    forward, backward, inputs, weights, pair = costs
    published_ns = (half - 1) * (pair + backward - 3 * weights)
    if inputs > forward:
        return Bubble(published_ns, None, "not exact where I > F, and no other is known")
    if backward != inputs + weights or not max(forward, backward) <= pair <= forward + backward:
        return Bubble(
            published_ns, None, "not exact here: it needs B = I+W and max(F, B) <= F&B <= F+B"
        )
    middle_ns = (half - 1) * (pair + forward - weights - min(weights, inputs))
    saved_ns = forward + backward - pair
    ranks_ns = tuple(middle_ns - max(0, half - 2 - depth) * saved_ns for depth in range(half))
    return Bubble(published_ns, ranks_ns, _note(costs))


def _note(costs: ChunkCosts) -> str:
    if costs.input_gradient_ns < costs.forward_ns:
        return "too small where I < F; exact where I = F and W <= F"
    if costs.weight_gradient_ns > costs.forward_ns:
        return "too small where W > F; exact where I = F and W <= F"
    return "holds on the middle ranks; outer ranks overlap fewer pairs, are busier and idle less"
