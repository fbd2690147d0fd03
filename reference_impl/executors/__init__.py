"""What a slot does: the model's work, or a modelled device's."""
