"""Trials on a Ray cluster: the only packages that import Ray."""
