"""What schedules cost that a model could be trained with: step time and memory, predicted."""
