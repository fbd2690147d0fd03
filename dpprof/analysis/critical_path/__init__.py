"""The chain of work and messages that a step's end hangs on."""
