"""One process per rank: started here, or joined under torchrun."""
