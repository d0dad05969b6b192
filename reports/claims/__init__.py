"""Published claims: which cells each compares, how, and the verdict."""
