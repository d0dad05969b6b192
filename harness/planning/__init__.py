"""The cost of a sweep, and the differences between its training and the published one."""
