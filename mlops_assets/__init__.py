"""Closed-loop MLOps."""
