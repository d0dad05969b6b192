"""Sweeps and cells that nobody ran, for tests and simulations."""
