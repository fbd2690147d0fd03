"""Cost profiles: how long components, operations and messages take; built-in ones and files."""

from dpprof.costs.load import builtin_costs, costs_to_json, load_costs
from dpprof.costs.profile import CostProfile, LayerCost, MemoryCost, MessageCost

__all__ = [
    "CostProfile",
    "LayerCost",
    "MemoryCost",
    "MessageCost",
    "builtin_costs",
    "costs_to_json",
    "load_costs",
]
