"""What is trained, on what, how: data sets, recipes and the workload files."""
