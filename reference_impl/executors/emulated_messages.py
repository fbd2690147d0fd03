"""The emulated device's messages: real ones that carry modelled times, on edges that are busy."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist

from dpprof.costs.profile import MessageCost
from dpprof.reference.runtime.lanes import Completion, ExecutionLane, Label
from dpprof.reference.runtime.operating_system import sleep_until


@dataclass(frozen=True)
class Deadline:
    """A completion that lies at a known time."""

    at_ns: int

    def wait(self) -> None:
        """Sleep until then."""
        sleep_until(self.at_ns)


class Edge:
    """A directed edge of the pipeline: busy with one message after the other."""

    def __init__(self, cost: MessageCost) -> None:
        self._cost = cost
        self._free_ns = 0

    def arrival_ns(self, ready_ns: int) -> int:
        """When the next message, ready at `ready_ns`, has passed and arrived."""
        self._free_ns = max(ready_ns, self._free_ns) + self._cost.transfer_ns
        return self._free_ns + self._cost.latency_ns


class PostedReceive:
    """A message that tells its own modelled arrival; known to whoever asks first, in order."""

    def __init__(self, edge: Edge, source: int, before: PostedReceive | None) -> None:
        self._tensor = torch.empty(1, dtype=torch.int64)
        self._work = dist.irecv(self._tensor, source, tag=1)
        self._edge = edge
        self._before = before
        self._lock = threading.Lock()
        self._known = False

    def wait(self) -> torch.Tensor:
        """The modelled arrival, as soon as the message that tells it has come."""
        with self._lock:
            if not self._known:
                if self._before is not None:
                    self._before.wait()
                self._work.wait()
                self._tensor[0] = self._edge.arrival_ns(int(self._tensor[0]))
                self._before, self._known = None, True
        return self._tensor

    def arrive(self) -> None:
        """Sleep until the modelled arrival."""
        sleep_until(int(self.wait()[0]))


class EmulatedWire:
    """Real messages that carry modelled times.

    A slot's modelled end is known when the slot starts, and the message that tells it leaves
    then, so that it has long been received when its modelled arrival comes: what a real message
    takes through this machine's sockets does not show. Has state because edges are busy.
    """

    def __init__(self, cost: MessageCost) -> None:
        self._edges: defaultdict[tuple[int, int], Edge] = defaultdict(lambda: Edge(cost))
        self._departing: defaultdict[tuple[int, int], deque[int]] = defaultdict(deque)
        self._last: dict[tuple[int, int], PostedReceive] = {}
        self._under_way: list[dist.Work] = []
        self._start = Deadline(0)

    def begin_step(self, start_ns: int) -> None:
        """Forget the messages of the step before; those of the next exist from its start on."""
        self._start = Deadline(start_ns)
        for work in self._under_way:
            work.wait()
        self._under_way.clear()

    def announce(self, edge: tuple[int, int], ready_ns: int) -> None:
        """Tell the receiver of `edge` that its next message is ready at `ready_ns`."""
        self._under_way.append(dist.isend(torch.tensor([ready_ns]), edge[1], tag=1))
        self._departing[edge].append(self._edges[edge].arrival_ns(ready_ns))

    def send(self, tensor: torch.Tensor, edge: tuple[int, int]) -> None:
        """Stay busy until the message's modelled arrival; `announce` has sent it already."""
        sleep_until(self._departing[edge].popleft())

    def receive(
        self,
        edge: tuple[int, int],
        lane: ExecutionLane,
        label: Label,
        after: Sequence[Completion] = (),
    ) -> PostedReceive:
        """Post a receive at once; it lasts on its lane until its modelled arrival."""
        posted = PostedReceive(self._edges[edge], edge[0], self._last.get(edge))
        self._last[edge] = posted
        lane.submit(label, posted.arrive, (self._start,))
        return posted
