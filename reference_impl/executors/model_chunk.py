"""One micro-batch on its way through one stage: the components of its layers, forth and back.

Every compute component is an autograd segment of its own and every message is sent by hand, in
both directions, so the components of two micro-batches can be interleaved in any order. Values
travel on wires; those of the way back carry gradients under the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from dpprof.reference.executors.expert_parallel import Exchanger
from dpprof.reference.model.data import Batch
from dpprof.reference.model.exchange import ExchangePlan
from dpprof.reference.model.layer import before_dispatch, merge, mlp, summed_loss
from dpprof.reference.model.moe import Routing
from dpprof.reference.model.operators import (
    Operators,
    WeightParts,
    compiled,
    deferred,
    run_weight_parts,
    unfused,
)
from dpprof.reference.model.segment import Segment, Tensors, run_segment
from dpprof.reference.model.stage import StageModel
from dpprof.reference.model.streams import keep_for_current_stream
from dpprof.reference.model.wires import Wires
from dpprof.schedules.actions import Operation
from dpprof.schedules.components import Component

TO_MERGE = ("returned", "weights", "shared", "residual")
"""What a layer hands to whoever merges it: the next layer's attention, or the output."""


class ChunkPass:
    """A micro-batch in a stage, from its forward to its weight gradients.

    `batch` is needed on the first and the last stage only; `loss_scale` is one over the tokens of
    the step. State: the wires, and for each component its segment and weight parts until they run.
    """

    def __init__(
        self, model: StageModel, exchanger: Exchanger, batch: Batch | None, loss_scale: float
    ) -> None:
        self._model = model
        self._exchanger = exchanger
        self._batch = batch
        self._loss_scale = loss_scale
        self._forward = Wires()
        self._backward = Wires()
        self._routing: dict[int, Routing] = {}
        self._plans: dict[int, ExchangePlan] = {}
        self._segments: dict[tuple[Component, int], Segment] = {}
        self._weight_parts: dict[tuple[Component, int], WeightParts] = {}
        self.loss: Tensor | None = None

    # Forward, component by component.

    def receive_input(self, value: Tensor) -> None:
        """The output of the stage before."""
        self._forward.put("input", 0, value)

    def forward_attention(self, layer: int) -> None:
        """Merge of the layer before (or embedding), attention, router, rows in send order."""
        operators = self._deferred(Component.ATTENTION, layer)

        def function(inputs: Tensors) -> Tensors:
            x = self._layer_input(layer, inputs, operators)
            parts, routing = before_dispatch(x, self._model.layers[layer], operators)
            self._routing[layer] = routing
            return parts

        self._run(Component.ATTENTION, layer, function, self._take_layer_input(layer))

    def forward_dispatch(self, layer: int) -> None:
        """Learn how many rows come and go, then send each row to its expert."""
        plan = self._plans[layer] = self._exchanger.plan(self._routing[layer])
        rows = self._forward.take("rows", layer)
        self._forward.put("received", layer, self._exchanger.dispatcher.send(rows, plan))

    def forward_mlp(self, layer: int) -> None:
        """Shared expert on the local tokens, routed experts on the rows received."""
        operators = self._deferred(Component.MLP, layer)
        plan = self._plans[layer]
        keep_for_current_stream(plan.groups.ends)

        def function(inputs: Tensors) -> Tensors:
            weights = self._model.layers[layer].weights
            return mlp(inputs["received"], inputs["local"], plan, weights, operators)

        inputs = self._forward.take_all(layer, ("received", "local"))
        self._run(Component.MLP, layer, function, inputs)

    def forward_combine(self, layer: int) -> None:
        """Send the experts' results back."""
        results = self._forward.take("results", layer)
        returned = self._exchanger.dispatcher.bring_back(results, self._plans[layer])
        self._forward.put("returned", layer, returned)

    def forward_output(self, layer: int) -> None:
        """Merge of the last layer; on the last stage also the head and the loss."""
        operators = self._deferred(Component.OUTPUT, layer)

        def function(inputs: Tensors) -> Tensors:
            x = merge(inputs, self._routing[layer])
            if not self._model.is_last:
                return {"output": x}
            loss = summed_loss(x, self._own_batch.targets, self._model.parameters.named, operators)
            return {"loss": loss * self._loss_scale}

        self._run(Component.OUTPUT, layer, function, self._forward.take_all(layer, TO_MERGE))
        if self._model.is_last:
            self.loss = self._forward.take("loss", layer)

    def take_output(self) -> Tensor | None:
        """What goes to the next stage; None on the last."""
        if self._model.is_last:
            return None
        return self._forward.take("output", len(self._model.layers) - 1)

    # Backward, part I: gradients of the inputs.

    def receive_gradient(self, value: Tensor) -> None:
        """The gradient of this stage's output, from the stage after."""
        self._backward.put("output", len(self._model.layers) - 1, value)

    def backward_output(self, layer: int) -> None:
        """From the loss, or the gradient of the output, to what was merged."""
        if self._model.is_last:
            assert self.loss is not None
            gradients = {"loss": torch.ones_like(self.loss)}
        else:
            gradients = {"output": self._backward.take("output", layer)}
        self._run_back(Component.OUTPUT, layer, gradients, layer)

    def backward_combine(self, layer: int) -> None:
        """Gradients of the returned rows to the ranks whose experts made them."""
        gradient = self._backward.take("returned", layer)
        sent = self._exchanger.dispatcher.send(gradient, self._plans[layer])
        self._backward.put("results", layer, sent)

    def backward_mlp(self, layer: int) -> None:
        """Through the experts."""
        gradients = self._backward.take_all(layer, ("results", "shared"))
        self._run_back(Component.MLP, layer, gradients, layer)

    def backward_dispatch(self, layer: int) -> None:
        """Gradients of the received rows back to where the rows came from."""
        gradient = self._backward.take("received", layer)
        returned = self._exchanger.dispatcher.bring_back(gradient, self._plans.pop(layer))
        self._backward.put("rows", layer, returned)

    def backward_attention(self, layer: int) -> None:
        """Through router and attention to the layer before, or the stage's input."""
        names = ("residual", "local", "rows", "weights")
        gradients = self._backward.take_all(layer, names)
        self._run_back(Component.ATTENTION, layer, gradients, layer - 1)
        del self._routing[layer]

    def take_input_gradient(self) -> Tensor | None:
        """What goes to the stage before; None on the first."""
        return None if self._model.is_first else self._backward.take("input", -1)

    # Backward, part W.

    def weight_gradients(self, component: Component, layer: int) -> None:
        """Add the weight gradients that a component's part I has left."""
        run_weight_parts(self._weight_parts.pop((component, layer)))

    def rows_received(self, layer: int) -> int:
        """Rows that came in by the dispatch of a layer, once it has run."""
        return sum(self._plans[layer].received)

    @property
    def _own_batch(self) -> Batch:
        if self._batch is None:
            raise RuntimeError("a first or last stage needs the micro-batch's tokens")
        return self._batch

    def _deferred(self, component: Component, layer: int) -> Operators:
        fused = compiled if self._model.config.fusion == "compile" else unfused
        return deferred(self._weight_parts.setdefault((component, layer), []), fused)

    def _take_layer_input(self, layer: int) -> Tensors:
        if layer:
            return self._forward.take_all(layer - 1, TO_MERGE)
        return {} if self._model.is_first else self._forward.take_all(0, ("input",))

    def _layer_input(self, layer: int, inputs: Tensors, operators: Operators) -> Tensor:
        if layer:
            return merge(inputs, self._routing[layer - 1])
        if self._model.is_first:
            embedding = self._model.parameters.named["embedding"]
            return operators.embedding(self._own_batch.tokens, embedding)
        return inputs["input"]

    def _run(
        self,
        component: Component,
        layer: int,
        function: Callable[[Tensors], Tensors],
        inputs: Tensors,
    ) -> None:
        outputs, segment = run_segment(function, inputs)
        self._segments[component, layer] = segment
        self._forward.put_all(layer, outputs)

    def _run_back(
        self, component: Component, layer: int, gradients: Tensors, to_layer: int
    ) -> None:
        segment = self._segments.pop((component, layer))
        self._backward.put_all(to_layer, segment.backward(gradients))


_F, _I = Operation.FORWARD, Operation.INPUT_GRADIENT

COMPONENTS: Mapping[tuple[Operation, Component], Callable[[ChunkPass, int], None]] = {
    (_F, Component.ATTENTION): ChunkPass.forward_attention,
    (_F, Component.DISPATCH): ChunkPass.forward_dispatch,
    (_F, Component.MLP): ChunkPass.forward_mlp,
    (_F, Component.COMBINE): ChunkPass.forward_combine,
    (_F, Component.OUTPUT): ChunkPass.forward_output,
    (_I, Component.OUTPUT): ChunkPass.backward_output,
    (_I, Component.COMBINE): ChunkPass.backward_combine,
    (_I, Component.MLP): ChunkPass.backward_mlp,
    (_I, Component.DISPATCH): ChunkPass.backward_dispatch,
    (_I, Component.ATTENTION): ChunkPass.backward_attention,
}
"""What runs a component of a forward or of a backward's part I; part W is `weight_gradients`."""
