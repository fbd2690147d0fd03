"""Level of detail: what of a run's lanes a picture of so many pixels can show, and no more."""
