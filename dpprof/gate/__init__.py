"""Gates a run: named metrics, rules, spread, baselines, and who broke a limit."""
