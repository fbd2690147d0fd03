"""The dashboard: pages in the browser over runs that are loaded once, figures as pure functions."""
