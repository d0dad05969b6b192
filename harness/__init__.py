"""The machine: from a workload file to MLflow."""
