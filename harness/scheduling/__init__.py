"""Which trial runs next, on which worker group, and where. Pure: neither Ray nor torch."""
