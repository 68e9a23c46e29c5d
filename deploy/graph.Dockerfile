# The graph: Dagster's code location, webserver and daemon, MLflow's server and the `mlops` command.
FROM python:3.11-slim-bookworm
# pg_dump and pg_restore, for `mlops backup` and `mlops restore`.
RUN apt-get update \
  && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql-client \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY deploy/graph.lock requirements.lock
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
COPY dagster.yaml workspace.yaml ./
COPY deploy/with-secrets deploy/mlops /usr/local/bin/
COPY serving serving
COPY mlops_assets mlops_assets
COPY examples examples
# Volumes take over what their folder in the image belongs to.
RUN python -m compileall -q serving mlops_assets \
  && useradd --uid 10001 --no-create-home --home-dir /tmp mlops \
  && install -d -o mlops -g mlops /state /state/releases /state/serving /state/mlartifacts /state/keys /mlartifacts /backup
USER mlops
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MLOPS_HOME=/state DAGSTER_HOME=/state/dagster \
    MPLCONFIGDIR=/tmp/matplotlib OMP_WAIT_POLICY=PASSIVE DO_NOT_TRACK=1 GIT_PYTHON_REFRESH=quiet \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true MLFLOW_LOGGING_LEVEL=WARNING
ENTRYPOINT ["with-secrets"]
CMD ["mlops", "--help"]
