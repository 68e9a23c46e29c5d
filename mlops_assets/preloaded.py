"""Everything that a run imports, imported once in the process that runs are forked from (`code_server`).

Nothing here may start a thread: a fork copies only the thread that forks.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import dagster_mlflow  # noqa: F401
    import evidently.metrics
    import evidently.presets  # noqa: F401
    import matplotlib.figure
    import mlflow.sklearn  # noqa: F401

    import mlops_assets.definitions  # noqa: F401
