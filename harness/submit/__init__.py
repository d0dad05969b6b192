"""`harness submit`: the payload of a job, its id, and following it to its end. Nothing here imports Ray."""
