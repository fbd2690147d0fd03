"""Reference DualPipe: a DeepSeek-V3-shaped MoE transformer and the runtime that pipelines it."""
