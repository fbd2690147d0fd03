"""All-to-all of expert parallelism by name; a dispatcher is a module of this package."""
