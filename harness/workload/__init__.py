"""The workload file: its fields, its messages, and the matrix of trials that it describes."""
