"""The rules: plain Python on frames and numbers. No Dagster, no MLflow, no Litestar, no files, no clock."""
