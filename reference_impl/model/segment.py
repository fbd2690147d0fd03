"""A piece of the autograd graph between two messages, whose backward is run by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

Tensors = dict[str, Tensor]


class Segment:
    """Remembers where gradients go in and come out; the values themselves belong to others.

    Only the graph's edges of the outputs are kept, so an output that no operation saved is freed
    as soon as its message has left.
    """

    def __init__(self, inputs: Tensors, outputs: Mapping[str, Tensor]) -> None:
        self._inputs = inputs
        self._edges: dict[str, GradientEdge] = {
            name: get_gradient_edge(value) for name, value in outputs.items()
        }

    def backward(self, gradients: Mapping[str, Tensor]) -> Tensors:
        """Gradients of the inputs from those of all outputs; the graph is freed.

        Runs on the calling thread even on a GPU, where autograd would launch from a thread of its
        own and the launches would fall outside the label of the component.
        """
        names = list(self._edges)
        with torch.autograd.set_multithreading_enabled(False):
            torch.autograd.backward(
                [self._edges[name] for name in names], [gradients[name] for name in names]
            )
        result: Tensors = {}
        for name, value in self._inputs.items():
            if value.grad is None:
                raise RuntimeError(
                    f"no gradient reached {name!r}: a segment does not use its input"
                )
            result[name] = value.grad
        return result


def run_segment(
    function: Callable[[Tensors], Tensors], inputs: Mapping[str, Tensor]
) -> tuple[Tensors, Segment]:
    """Run `function` on cut-off inputs; gives its outputs, cut off too, and the segment."""
    leaves = {name: value.detach().requires_grad_() for name, value in inputs.items()}
    outputs = function(leaves)
    segment = Segment(leaves, outputs)
    return {name: value.detach() for name, value in outputs.items()}, segment
