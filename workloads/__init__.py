"""Data sets, recipes and the workload files."""
