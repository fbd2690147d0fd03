"""Stand-in for torchtitan's trainer: a step accumulates gradients over calls of torch's pipeline.

Its functions, in their order, and nothing of its code.
"""

from __future__ import annotations


class Trainer:
    def __init__(self, schedule, optimizers, given, wanted, accumulate: int) -> None:
        self.pp_schedule, self.optimizers = schedule, optimizers
        self.given, self.wanted, self.accumulate = given, wanted, accumulate

    def pp_forward_backward_step(self) -> None:
        self.pp_schedule.step(*self.given, **self.wanted, return_outputs=False)

    def train_step(self, data_iterator) -> None:
        for one in self.optimizers:
            one.zero_grad()
        for _ in range(self.accumulate):
            next(data_iterator)
            self.pp_forward_backward_step()
        for one in self.optimizers:
            one.step()

    def train(self, steps: int) -> None:
        data_iterator = iter(int, None)
        for _ in range(steps):
            self.train_step(data_iterator)
