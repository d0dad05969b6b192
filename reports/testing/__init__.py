"""Synthetic sweeps and cells for tests and simulations."""
