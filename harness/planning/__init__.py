"""What a sweep will cost, and how its training differs from the published one."""
