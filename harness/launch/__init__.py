"""`harness run`: from a workload file to a report, over a launcher (Ray, or this process)."""
