"""Datasets: reading a contract from its file, and the built-in real one (flights)."""
