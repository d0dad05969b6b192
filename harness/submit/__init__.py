"""`harness submit`: what a job is made of, which id it has, and how it is followed. Knows nothing of Ray."""
