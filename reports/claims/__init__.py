"""Published claims: the cells that each compares, the tests, and the verdict."""
