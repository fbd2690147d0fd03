"""Messages between ranks on CPUs: who sends what to whom, from the calls themselves.

gloo writes spans that go from the post of a message to the wait for it, and no peer. All
frameworks pass through `ProcessGroup.send`, `ProcessGroup.recv` and `Work.wait`: the post of a
send and every wait become labels with the edge, the number of the message on it, and its size.
NCCL's own metadata say all that, so messages of a GPU are left alone, as are those that the loop
labels itself.
"""

from __future__ import annotations

from collections import Counter
from types import ModuleType
from typing import Any

from dpprof.instrument.adapters.contract import Adapter
from dpprof.instrument.adapters.patching import guarded, listen
from dpprof.instrument.labels import MESSAGE, is_inside, is_recording, label

NAME = "messages"


class _Messages:
    """Messages under way, and how many went over each edge in this step. Has state, therefore."""

    def __init__(self, group: Any, work: Any) -> None:
        self._numbers: Counter[str] = Counter()
        self._posted: dict[int, tuple[Any, dict[str, str | int]]] = {}
        self._send, self._receive, self._wait = group.send, group.recv, work.wait

    def patch(self, group: Any, work: Any) -> None:
        """Put labels around the calls of these two classes of torch."""
        messages = self

        def send(self: Any, tensors: Any, peer: int, tag: int) -> Any:
            return messages.send(self, tensors, peer, tag)

        def recv(self: Any, tensors: Any, peer: int, tag: int) -> Any:
            return messages.receive(self, tensors, peer, tag)

        def wait(self: Any, *arguments: Any, **named: Any) -> Any:
            return messages.wait(self, arguments, named)

        group.send, group.recv, work.wait = send, recv, wait
        listen(self.start_over)

    def start_over(self, *_: Any) -> None:
        """Number from 0 in the next step."""
        self._numbers.clear()
        if not is_recording():
            self._posted.clear()

    def send(self, group: Any, tensors: Any, peer: int, tag: int) -> Any:
        fields = self._fields(group, tensors, peer, tag, "send")
        if fields is None:
            return self._send(group, tensors, peer, tag)
        with label("p2p", **fields):
            work = self._send(group, tensors, peer, tag)
        return self._keep(work, fields)

    def receive(self, group: Any, tensors: Any, peer: int, tag: int) -> Any:
        fields = self._fields(group, tensors, peer, tag, "recv")
        work = self._receive(group, tensors, peer, tag)
        return work if fields is None else self._keep(work, fields)

    def wait(self, work: Any, arguments: Any, named: Any) -> Any:
        _, fields = self._posted.pop(id(work), (None, None)) if self._posted else (None, None)
        if fields is None or is_inside(MESSAGE):
            return self._wait(work, *arguments, **named)
        with label("p2p", **fields):
            return self._wait(work, *arguments, **named)

    def _keep(self, work: Any, fields: dict[str, str | int]) -> Any:
        self._posted[id(work)] = (work, fields)  # the object too: its id stays its own
        return work

    def _fields(
        self, group: Any, tensors: Any, peer: int, tag: int, way: str
    ) -> dict[str, str | int] | None:
        if not is_recording() or is_inside(MESSAGE):
            return None
        told = guarded(NAME, lambda: self._told(group, tensors, peer, tag, way))
        return told if isinstance(told, dict) else None

    def _told(
        self, group: Any, tensors: Any, peer: int, tag: int, way: str
    ) -> dict[str, str | int] | None:
        import torch.distributed as dist

        if any(tensor.device.type != "cpu" for tensor in tensors):
            return None
        other, own = dist.get_global_rank(group, peer), dist.get_rank()
        edge = f"{own}>{other}" if way == "send" else f"{other}>{own}"
        name = edge if not tag else f"{edge}@{tag}"
        number = self._numbers[name]
        self._numbers[name] += 1
        size = sum(tensor.nbytes for tensor in tensors)
        return {"way": way, "group": name, "peer": other, "sequence": number, "bytes": size}


def _extend(module: ModuleType) -> None:
    from torch._C import _distributed_c10d as c10d

    _Messages(c10d.ProcessGroup, c10d.Work).patch(c10d.ProcessGroup, c10d.Work)


ADAPTERS = (Adapter(name=NAME, module="torch.distributed.distributed_c10d", extend=_extend),)
