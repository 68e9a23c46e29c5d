"""Everything that a run imports, imported once in the process that runs are forked from (`code_server`).

Also what MLflow, skops, matplotlib and Dagster import only when they are used, which a run would otherwise do at its
own expense. Nothing here may start a thread of Python: a fork copies only the thread that forks.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import dagster._core.storage.sqlite_storage
    import dagster_mlflow
    import evidently.metrics
    import evidently.presets
    import git
    import ibis.backends.sql.compilers.duckdb
    import matplotlib.backends.backend_agg
    import matplotlib.figure
    import mlflow.sklearn
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store
    import plotly.graph_objs
    import skops.io

    import mlops_assets.adapters.evidently_preset
    import mlops_assets.definitions
    from serving.onnx_session import runtime

    runtime()
