"""Stand-in for Megatron's parallel state: all ranks are one pipeline."""

import torch.distributed as dist


def model_parallel_is_initialized() -> bool:
    return True


def get_pipeline_model_parallel_rank() -> int:
    return dist.get_rank()


def get_pipeline_model_parallel_world_size() -> int:
    return dist.get_world_size()


def get_data_parallel_rank() -> int:
    return 0
