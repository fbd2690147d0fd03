"""The executor that really trains: a rank's stages, its micro-batches in flight, its step's end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from dpprof.reference.dispatchers.contract import Dispatcher
from dpprof.reference.executors.expert_parallel import Exchanger, make_exchanger
from dpprof.reference.executors.gradient_reduction import reduce_gradients, reduce_load, reduce_loss
from dpprof.reference.executors.model_chunk import COMPONENTS, ChunkPass
from dpprof.reference.executors.optimizer_step import make_optimizers
from dpprof.reference.job import Job
from dpprof.reference.model.config import ModelConfig
from dpprof.reference.model.data import Batch, global_micro_batch, make_batch
from dpprof.reference.model.routing import update_bias
from dpprof.reference.model.stage import StageModel, make_stage
from dpprof.reference.runtime.executor import MessageSpec
from dpprof.reference.runtime.lanes import Completion
from dpprof.reference.runtime.mesh import Groups, Mesh
from dpprof.reference.runtime.multiprocessors import leave_multiprocessors
from dpprof.runs.manifest import RankPlace
from dpprof.schedules.actions import Action, Operation, Slot
from dpprof.schedules.components import Component, Program
from dpprof.schedules.schedule import Schedule

_F, _I, _W = Operation.FORWARD, Operation.INPUT_GRADIENT, Operation.WEIGHT_GRADIENT


class ModelExecutor:
    """Computes a MoE transformer; an `Executor`.

    Has state because training does: parameters and optimizer over steps, micro-batches in flight
    within one, the program of the current slot. `config` must fit the schedule
    (`ModelConfig.check_parallel`). The tensors it is given as `received` it keeps until the
    backward, so they must not be written again.
    """

    def __init__(
        self,
        config: ModelConfig,
        schedule: Schedule,
        mesh: Mesh,
        groups: Groups,
        device: torch.device,
    ) -> None:
        stage_count = schedule.placement.stage_count
        config.check_parallel(stage_count, mesh.ep)
        self.layers = config.layers // stage_count
        shape = (config.micro_batch, config.sequence, config.hidden)
        self.message = MessageSpec(shape, getattr(torch, config.dtype))
        self._config = config
        self._schedule = schedule
        self._mesh = mesh
        self._groups = groups
        self._device = device
        self.stages = schedule.placement.stages[mesh.pp_rank]
        """Stage number by direction."""
        slots = config.ep_experts(mesh.ep_rank, mesh.ep)
        self._models = [
            make_stage(config, config.stage_layers(stage, stage_count), slots, device)
            for stage in self.stages
        ]
        self._exchanger = make_exchanger(config, mesh, groups, device)
        if config.sm_limits == "products" and device.type == "cuda":
            leave_multiprocessors(config.communication_sms, device)
        self._optimizers = make_optimizers(config, self.parameters(), groups)
        self._total_load = [torch.zeros_like(model.load) for model in self._models]
        self._batches: dict[tuple[int, int], Batch] = {}
        self._passes: dict[tuple[int, int], ChunkPass] = {}
        self._slot: Slot = ()
        self._program: Program = ()
        self._loss = torch.zeros((), device=device)

    # The Executor protocol.

    def begin_step(self, step: int) -> None:
        """Clear gradients and loss; make the tokens that this rank's first and last stages need."""
        self._loss = torch.zeros((), dtype=torch.float64, device=self._device)
        for model in self._models:
            model.parameters.clear_gradients()
            model.load.zero_()
        self._batches = {
            (direction, micro_batch): self._make_batch(step, direction, micro_batch)
            for direction, model in enumerate(self._models)
            if model.is_first or model.is_last
            for micro_batch in range(self._schedule.micro_batches_per_stream)
        }

    def begin_slot(
        self, slot: Slot, program: Program, received: Mapping[Action, torch.Tensor]
    ) -> None:
        """Start a slot: hand each action's input to its micro-batch."""
        self._slot, self._program = slot, program
        for action in slot:
            if action.operation is Operation.FORWARD:
                self._passes[action[1:]] = self._new_pass(action)
            if action in received:
                chunk = self._passes[action[1:]]
                forward = action.operation is Operation.FORWARD
                (chunk.receive_input if forward else chunk.receive_gradient)(received[action])

    def gate(self, index: int) -> Sequence[Completion]:
        """Nothing: data dependencies are all there are."""
        return ()

    def makes_the_host_wait(self, index: int) -> bool:
        """The dispatch of a forward, where its counts are known to the device alone."""
        if self._device.type != "cuda" or not self._exchanger.makes_the_host_wait:
            return False  # on a CPU, the lane's own thread waits
        step = self._program[index]
        return step.part is _F and step.component is Component.DISPATCH

    def communication_bytes(self, index: int) -> int:
        """Bytes that an all-to-all sends from this rank, what stays on it included.

        To be asked once the steps that it comes after have run: how many rows this rank has
        received by then decides how many it returns.
        """
        step = self._program[index]
        rows = self._config.rows_sent
        if (step.part is _F) == (step.component is Component.COMBINE):
            rows = self._pass_of(index).rows_received(step.layer)
        return rows * self._config.hidden * int(self.message.dtype.itemsize)

    def run(self, index: int) -> None:
        """Run one component of the slot's program."""
        step = self._program[index]
        chunk = self._pass_of(index)
        if step.part is _W:
            chunk.weight_gradients(step.component, step.layer)
        else:
            COMPONENTS[step.part, step.component](chunk, step.layer)

    def passed_on(self, index: int) -> dict[Action, torch.Tensor]:
        """The output after a forward's last component, the input gradient after a backward's."""
        step = self._program[index]
        result = None
        if step.part is _F and step.component is Component.OUTPUT:
            result = self._pass_of(index).take_output()
        elif step.part is _I and step.component is Component.ATTENTION and step.layer == 0:
            result = self._pass_of(index).take_input_gradient()
        return {} if result is None else {self._slot[step.member]: result}

    def finish_slot(self) -> dict[Action, torch.Tensor]:
        """Nothing is left to pass on; a micro-batch is forgotten after its weight gradients."""
        for action in self._slot:
            chunk = self._passes[action[1:]]
            if action.operation is Operation.FORWARD and chunk.loss is not None:
                self._loss += chunk.loss
            if action.operation in (Operation.BACKWARD, Operation.WEIGHT_GRADIENT):
                del self._passes[action[1:]]
        return {}

    def end_step(self) -> float | None:
        """Reduce, update; the mean loss of all tokens of the step on ranks of the last stage."""
        self.reduce_gradients()
        self._optimizers.step()
        self._balance()
        return self.reduced_loss()

    # The parts of the step's end, and what a run says about a rank.

    def reduce_gradients(self) -> None:
        """Add up the gradients of everything that other ranks hold copies of."""
        reduce_gradients(self._by_stage, self._mesh, self._groups)

    def expert_load(self) -> dict[int, list[int]]:
        """Rows that each expert got, by layer of this rank, over all steps and ranks so far.

        All ranks must ask at the same time.
        """
        for model, total in zip(self._models, self._total_load, strict=True):
            model.load.copy_(total)
        reduce_load(self._by_stage, self._mesh, self._groups)
        return {
            number: counts
            for model in self._models
            for number, counts in zip(model.numbers, model.load.tolist(), strict=True)
        }

    def reduced_loss(self) -> float | None:
        """The step's loss, the same on every rank that holds the last stage; None elsewhere."""
        if not any(model.is_last for model in self._models):
            return None
        return reduce_loss(self._loss, self._mesh, self._groups)

    @property
    def own_loss(self) -> float:
        """This rank's share of the step's loss: the shares of all ranks add up to it."""
        return float(self._loss.item())

    @property
    def exchanger(self) -> Exchanger:
        """What carries rows to the experts and back."""
        return self._exchanger

    def exchange_by(self, dispatcher: Dispatcher) -> None:
        """Have another dispatcher carry the rows of the micro-batches that begin from now on."""
        self._exchanger = replace(self._exchanger, dispatcher=dispatcher)

    def parameters(self) -> dict[str, torch.Tensor]:
        """This rank's parameters by name (`.grad` holds the gradient), both directions' stages.

        Names are those of `make_parameters`; experts are this rank's share of them.
        """
        return {
            name: value for model in self._models for name, value in model.parameters.named.items()
        }

    def gradients(self) -> dict[str, torch.Tensor]:
        """The parameters' gradients by name, in the type that they add up in."""
        return {
            name: value
            for model in self._models
            for name, value in model.parameters.gradients.items()
        }

    def place(self) -> RankPlace:
        """Where this rank stands, and the bytes that it holds all the time."""
        held = [model.parameters for model in self._models]
        return RankPlace(
            rank=self._mesh.rank,
            pp_rank=self._mesh.pp_rank,
            ep_rank=self._mesh.ep_rank,
            dp_rank=self._mesh.dp_rank,
            stages=list(self.stages),
            parameter_bytes=sum(each.parameter_bytes for each in held),
            gradient_bytes=sum(each.gradient_bytes for each in held),
            optimizer_bytes=self._optimizers.state_bytes,
        )

    @property
    def _by_stage(self) -> dict[int, StageModel]:
        return dict(zip(self.stages, self._models, strict=True))

    def _balance(self) -> None:
        """Add the step's load to the total; move the bias that balances the experts."""
        for model, total in zip(self._models, self._total_load, strict=True):
            total += model.load
        if self._config.bias_speed:
            reduce_load(self._by_stage, self._mesh, self._groups)
            for model in self._models:
                update_bias(model.bias, model.load, self._config.bias_speed)

    def _pass_of(self, index: int) -> ChunkPass:
        return self._passes[self._slot[self._program[index].member][1:]]

    def _new_pass(self, action: Action) -> ChunkPass:
        tokens = self._config.tokens_per_step(self._schedule.micro_batches, self._mesh.data_size)
        batch = self._batches.get(action[1:])
        return ChunkPass(self._models[action.direction], self._exchanger, batch, 1 / tokens)

    def _make_batch(self, step: int, direction: int, micro_batch: int) -> Batch:
        number = global_micro_batch(self._schedule, direction, micro_batch)
        batch = make_batch(self._config, step, number, self._mesh.data_rank)
        return Batch(*(values.to(self._device) for values in batch))


def make_model_executor(
    job: Job, schedule: Schedule, mesh: Mesh, groups: Groups, device: torch.device
) -> tuple[ModelExecutor, RankPlace, dict[str, Any]]:
    """The executor of `job.sizes`, its place, and what the manifest says of the model."""
    config = ModelConfig.from_json(job.sizes)
    executor = ModelExecutor(config, schedule, mesh, groups, device)
    manifest: dict[str, Any] = {
        "sizes": config.to_json(),
        "tokens_per_step": config.tokens_per_step(schedule.micro_batches, mesh.data_size),
        "flops_per_step": config.flops_per_step(schedule.micro_batches, mesh.data_size),
    }
    if config.wire_words:
        manifest["notes"] = [config.wire_words]
    return executor, executor.place(), manifest
