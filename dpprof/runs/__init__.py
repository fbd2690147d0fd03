"""The run folder: ``run.json`` with everything about a run that its traces do not say."""
