"""Spark's session: started once in a process, and set such that it agrees with DuckDB.

Here belongs what a session needs to be there. What is asked of it belongs to `spark_rows` and `spark_scoring`.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.adapters.row_engine import EngineMissing

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LEAST_JAVA = 17
AGREEING = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.caseSensitive": "true",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    # Neither marks nor checksums beside the files: DuckDB reads their folder as one table.
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}
ON_THIS_MACHINE = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}


def spark_session(master: str) -> "SparkSession":
    """The process's session.

    Args:
        master: Spark's master: `local[*]`, `spark://host:7077`, `k8s://...`.

    Raises:
        EngineMissing: pyspark or Java is not there.
    """
    demand_spark()
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(master).appName("mlops")
    for name, value in AGREEING.items():
        builder = builder.config(name, value)
    if master.startswith("local"):
        for name, value in ON_THIS_MACHINE.items():
            builder = builder.config(name, value)
    session = builder.getOrCreate()
    if master.startswith("local"):
        session.sparkContext.pythonExec = sys.executable  # workers would take `python3`, which may lack the packages
    return session


def demand_spark() -> None:
    """Demands what a session needs.

    Raises:
        EngineMissing: pyspark or Java is not there.
    """
    if importlib.util.find_spec("pyspark") is None:
        raise EngineMissing(
            "MLOPS_ENGINE=spark needs pyspark, which this environment lacks: `make setup-spark` makes .venv-spark, "
            "which has it and Java; run .venv-spark/bin/mlops, or unset MLOPS_ENGINE for DuckDB"
        )
    if (version := _java_version()) is None or version < LEAST_JAVA:
        found = "found none" if version is None else f"found {version}"
        raise EngineMissing(
            f"MLOPS_ENGINE=spark needs Java {LEAST_JAVA} or newer, {found}: `make setup-spark` installs it, as does "
            f"`apt-get install openjdk-{LEAST_JAVA}-jre-headless`; one that is elsewhere is named by JAVA_HOME"
        )


def _java_version() -> int | None:
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None or not Path(java).exists():
        return None
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?([0-9]+)', said)
    return int(found[1]) if found else None
