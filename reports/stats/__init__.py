"""Cells of a sweep, and the statistics of their seeds."""
