"""The prediction service: answers with the released model, and swaps to the next one without a restart.

It needs a folder of releases and nothing else: no Dagster, no MLflow, no scikit-learn, no pandas. It never unpickles.
"""
