"""Functions that the engine lacks and SQL cannot say: Python computes them, one row after the other."""
