"""The formats: a document as a table for the terminal, Markdown, HTML, JSON, a notebook's cell."""
