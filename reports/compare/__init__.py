"""Two sweeps against each other."""
