"""Schedules that are found: annealing over slot orders, pairs and splits for given costs."""
