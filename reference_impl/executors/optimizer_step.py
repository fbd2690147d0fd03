"""The update at the end of a step: AdamW on float32 masters, its state spread over replicas."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
import torch.distributed as dist

from dpprof.instrument.labels import label
from dpprof.reference.model.config import ModelConfig
from dpprof.reference.model.memory_notes import allocating
from dpprof.reference.model.operators import gradient_of
from dpprof.reference.model.parameters import gradient_dtype, is_expert
from dpprof.reference.runtime.mesh import Groups


class MasterAdamW(torch.optim.Optimizer):
    """AdamW whose values and moments are at least float32, whatever the parameters' type.

    Reads a parameter's gradient where it adds up (`gradient_of`), updates the master, and rounds
    it into the parameter. State is there from the start, not from the first update on: memory is
    then the same in every step.
    """

    def __init__(self, parameters: Iterable[torch.Tensor], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})
        own = [value for group in self.param_groups for value in group["params"]]
        self._rounded = [value for value in own if value.dtype != gradient_dtype(value.dtype)]
        self._masters = [value.detach().to(gradient_dtype(value.dtype)) for value in self._rounded]
        master_of = dict(zip(map(id, self._rounded), self._masters, strict=True))
        updated = [master_of.get(id(value), value) for value in own]
        for value, master in zip(own, updated, strict=True):
            master.grad = gradient_of(value)
        on_gpu = bool(updated) and updated[0].is_cuda  # one kernel for all there
        self._adamw = torch.optim.AdamW(updated, lr=lr, fused=on_gpu) if updated else None
        for master in updated:
            assert self._adamw is not None
            self._adamw.state[master] = {
                "step": torch.zeros((), device=master.device if on_gpu else None),
                "exp_avg": torch.zeros_like(master),
                "exp_avg_sq": torch.zeros_like(master),
            }

    @property
    def state_bytes(self) -> int:
        """Bytes of masters and moments."""
        moments = [] if self._adamw is None else self._adamw.state.values()
        tensors = [value for state in moments for name, value in state.items() if name != "step"]
        return sum(value.nbytes for value in (*self._masters, *tensors))

    def step(self, closure: Callable[[], float] | None = None) -> None:
        """Update; gradients stay as they are."""
        if self._adamw is not None:
            self._adamw.step()
            with torch.no_grad():
                for value, master in zip(self._rounded, self._masters, strict=True):
                    value.copy_(master)


class Optimizers(NamedTuple):
    """What updates a rank's parameters: one optimizer for each way they are held."""

    optimizers: list[Any]

    @property
    def state_bytes(self) -> int:
        """Bytes that this rank's share of the state takes."""
        own = [getattr(each, "optim", each) for each in self.optimizers]
        return sum(getattr(each, "state_bytes", 0) for each in own)

    def step(self) -> None:
        """Update the parameters; leaves the gradients as they are."""
        for each in self.optimizers:
            with label("compute", component="optimizer"):
                each.step()


def make_optimizers(
    config: ModelConfig, parameters: dict[str, torch.Tensor], groups: Groups
) -> Optimizers:
    """The configuration's optimizers; ``none`` leaves the model as it is, to compare gradients.

    ZeRO stage 1: where several ranks hold a matrix, each keeps the state of a share of them and
    tells the others the new values (PyTorch's `ZeroRedundancyOptimizer`): experts over their
    replicas, all else over the data group. Vectors are not worth it.
    """
    if config.optimizer == "none":
        return Optimizers([])
    if config.optimizer == "sgd":
        values = list(parameters.values())
        return Optimizers([torch.optim.SGD(values, lr=config.learning_rate)])
    vectors = [value for value in parameters.values() if value.dim() == 1]
    experts = [value for name, value in parameters.items() if is_expert(name)]
    matrices = [
        value for name, value in parameters.items() if not is_expert(name) and value.dim() > 1
    ]
    with allocating("optimizer_state"):
        return Optimizers(
            [
                MasterAdamW(vectors, config.learning_rate),
                _spread(matrices, groups.data, config.learning_rate),
                _spread(experts, groups.replicas, config.learning_rate),
            ]
        )


def _spread(values: list[torch.Tensor], group: dist.ProcessGroup | None, rate: float) -> Any:
    if group is None:
        return MasterAdamW(values, rate)
    from torch.distributed.optim import ZeroRedundancyOptimizer

    return ZeroRedundancyOptimizer(values, MasterAdamW, group, lr=rate)
