"""What documents are made of: cells, sections, units."""
