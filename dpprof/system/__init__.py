"""What dpprof asks of the operating system: processes that end, files that are whole, inputs."""
