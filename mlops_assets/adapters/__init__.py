"""Adapters: files, databases, MLflow and Evidently behind plain objects that know no Dagster graph."""
