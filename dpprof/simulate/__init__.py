"""The simulator: schedules in simulated time, as step figures or as a run like a captured one."""
