"""What must hold of the prediction service: it answers as the release says.

Run by hand as an asset check, and by the service sensor whenever what is served or released changes.
"""

import dagster as dg

from mlops_assets.adapters.release_store import ReleaseStore
from mlops_assets.adapters.service_client import ServiceClient, ServiceUnavailable
from serving.release import ReleaseInvalid


@dg.asset_check(
    asset="prediction_service",
    description="The service serves the released version, and gives the release's own cases the released answers.",
)
def service_answers_as_released(
    service: dg.ResourceParam[ServiceClient], releases: dg.ResourceParam[ReleaseStore]
) -> dg.AssetCheckResult:
    """Sends the release's cases over HTTP."""
    passed, found = judge_service(service, releases)
    return dg.AssetCheckResult(passed=passed, description=found, metadata={"found": found})


def judge_service(service: ServiceClient, releases: ReleaseStore) -> tuple[bool, str]:
    """Whether the service answers as released, and what was found."""
    try:
        pointer = releases.pointer()
        if pointer is None:
            return False, "nothing is released yet"
        cases = releases.cases(pointer.model_version)
        served = service.served()
        workers = f"{served.serving(pointer.epoch)} of {max(served.expected_workers, len(served.workers))} workers"
        if not served.all_serve(pointer.epoch):
            return False, (
                f"{workers} serve epoch {pointer.epoch}, which is released (version {pointer.model_version}); "
                f"the one that answered serves epoch {served.epoch or 'none'}; refused: {served.refused}"
            )
        wrong = service.wrong_answers(cases, model_version=pointer.model_version)
    except (ReleaseInvalid, ServiceUnavailable) as error:
        return False, str(error)
    if wrong:
        return False, f"{len(wrong)} of {len(cases)} cases are answered otherwise, first: {wrong[0]}"
    return True, (
        f"{workers} serve epoch {pointer.epoch} (version {pointer.model_version}): "
        f"all {len(cases)} cases answered as released"
    )
