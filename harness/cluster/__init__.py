"""Trials on a Ray cluster: the only rooms that import Ray."""
