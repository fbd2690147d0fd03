"""The Dash app around the pages, the server, and the report in one file."""
