"""The transformer: attention, experts, stages."""
