"""Memory that one GPU stream allocates and another one uses: the rule, and the one call it takes.

The caching allocator gives memory back to the stream that asked for it as soon as nobody on the
host holds the tensor, whatever other streams still do with it. So whoever takes a tensor that
another lane has made says so before using it, and the allocator waits for both. The rule is kept
where tensors change hands (`Wires.take`, a wire's `send`) and checked without a GPU by
`dpprof.reference.runtime.race_detector`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def keep_for_current_stream(tensor: Tensor) -> Tensor:
    """Have the allocator keep a GPU tensor until the current stream is done with it.

    The tensor may be memory of another stream, which could be given away as soon as nobody on
    the host holds it. No effect on a CPU.
    """
    if tensor.is_cuda:
        tensor.record_stream(torch.cuda.current_stream(tensor.device))
    return tensor
