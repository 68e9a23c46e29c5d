"""`prediction_window`: a period of answered traffic, landed as a data window."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from mlops_assets.adapters.landing.folder import FolderLanding
from mlops_assets.adapters.landing.landed_window import Landing
from mlops_assets.adapters.prediction_log import GatheredLog
from mlops_assets.adapters.prediction_window import land_period
from mlops_assets.domain.log_period import PeriodInvalid, asked_period
from mlops_assets.domain.prediction_log import LogUnfit, NothingAnswered
from mlops_assets.domain.windows import WindowNameInvalid, WindowUnfit


class AskedWindow(dg.Config):
    """Which period; the last whole day where none is named."""

    since: str | None = None
    until: str | None = None
    name: str | None = None
    replace: bool = False


@dg.asset(
    deps=["prediction_log"],
    output_required=False,
    group_name="loop",
    owners=["team:ml"],
    kinds={"duckdb", "parquet"},
    retry_policy=dg.RetryPolicy(max_retries=2, delay=1),
)
def prediction_window(
    context: dg.AssetExecutionContext,
    config: AskedWindow,
    log: dg.ResourceParam[GatheredLog],
    landing: dg.ResourceParam[Landing],
) -> Iterator[dg.MaterializeResult[None]]:
    """The rows that were answered in a period, with the labels that have come, where windows land.

    From there it is a window as any other: `window_sensor` takes it up. Nothing lands where nothing was answered.
    """
    if not isinstance(landing, FolderLanding):
        raise dg.Failure(
            "windows land in no folder: a window of answered traffic cannot be put there", allow_retries=False
        )
    try:
        period = asked_period(config.since, config.until, length="day", now=datetime.now(UTC))
        made = land_period(log, landing, period, window=config.name, replace=config.replace)
    except NothingAnswered as error:
        context.log.info(str(error))
        return
    except (PeriodInvalid, LogUnfit, WindowNameInvalid, WindowUnfit) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    yield dg.MaterializeResult(
        metadata={
            "window": made.window,
            "since": dg.MetadataValue.timestamp(period.since),
            "until": dg.MetadataValue.timestamp(period.until),
            "rows": made.rows,
            "written": made.written,
            "left_out": dg.MetadataValue.json(made.left_out),
            "labelled": made.labelled,
            "landed_before": not made.is_new,
            "open_segments": made.open_segments,
        }
    )
