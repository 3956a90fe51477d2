"""Rendered data sets, which need no download, and label noise."""
