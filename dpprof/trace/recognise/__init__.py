"""The schedule that slots of all ranks show."""
