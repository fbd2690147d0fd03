"""Figures: pure functions from tables and structs to plotly figures, no Dash and no IO."""
