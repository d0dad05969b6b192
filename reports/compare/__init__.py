"""Comparison of two sweeps."""
