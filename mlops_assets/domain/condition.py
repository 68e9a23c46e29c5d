"""Conditions: what stands for a while and then ends, told when it begins and when it ends.

Here belong the rules of when the service is behind and when the loop is stuck, on numbers that were read elsewhere
(`mlops_assets.adapters.loop_state`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlops_assets.domain.notification import Kind, Notification

SILENT_SECONDS = 300
"""After so long without a heartbeat or a tick, a daemon or a sensor is taken for stopped; sensors tick every 25 s."""
OLD_RUN_SECONDS = 3700
"""Dagster's run monitoring ends a run after 3,600 s (dagster.yaml): one that is older is out of its hands."""
WAITING_SECONDS = 900
"""What has landed is taken up within seconds where nothing is under way."""
UNFINISHED_SECONDS = 300
"""A promotion takes seconds, and what a crash left of one is finished within 30 s."""


@dataclass(frozen=True)
class Condition:
    """Something that is not as it should be, as long as it is so."""

    key: str
    """The same from one look to the next."""
    kind: Kind
    title: str
    said: str
    """With its numbers, and what to do."""
    page: str
    """Where it is to be seen, as a path of Dagster's pages."""
    bears_seconds: float = 30
    """So long it may stand before it is told: what mends itself wakes nobody."""


@dataclass(frozen=True)
class Sensor:
    """How a sensor does."""

    name: str
    seconds_since_tick: float | None
    """None where it never ticked."""
    error: str | None
    """Why its last tick failed; None where it did not."""


@dataclass(frozen=True)
class Run:
    """A run that is not over, or that failed for good."""

    run_id: str
    job: str
    window: str | None
    status: str
    age_seconds: float


@dataclass(frozen=True)
class LoopState:
    """What can be seen of the loop at one moment."""

    daemons: Mapping[str, float | None]
    """Seconds since the last heartbeat, by required daemon; None where there never was one."""
    sensors: Sequence[Sensor]
    unfinished: Sequence[Run]
    """Runs that are queued or under way."""
    failed: Sequence[Run]
    """The newest run of a job, or of a window, where it failed and nothing tries it again."""
    waiting: Mapping[str, float]
    """Seconds since it landed, by window that could be taken up and was not."""
    idle_seconds: float
    """Since any run began or ended."""
    promotion_seconds: float | None
    """How long the oldest promotion is unfinished; None where there is none."""


def stuck(state: LoopState) -> list[Condition]:
    """What keeps the loop from going on."""
    return [*_daemons(state), *_sensors(state), *_runs(state), *_windows(state), *_promotion(state)]


def service_behind(
    *, wanted: int | None, fault: str | None, serving: int = 0, workers: int = 0, refused: str | None = None
) -> list[Condition]:
    """That the service does not serve what is released; empty where it does, or nothing is released yet.

    Args:
        wanted: The released epoch.
        fault: Why the service did not answer; None where it did.
        serving: How many of its workers serve that epoch.
        workers: How many there are, or should be.
        refused: Why it will not load the release.
    """
    if wanted is None or (fault is None and 0 < workers == serving):
        return []
    said = fault or f"{serving} of {workers} workers serve it" + (f"; it was refused: {refused}" if refused else "")
    title = f"the service does not serve epoch {wanted}, which is released"
    return [Condition("service", "service behind", title, said, "/assets/prediction_service")]


def begins(condition: Condition) -> Notification:
    """That it stands."""
    return Notification(condition.kind, "alarm", condition.title, condition.said, condition.page)


def ends(kind: Kind, title: str) -> Notification:
    """That what was told under this title stands no more."""
    page = "/assets/prediction_service" if kind == "service behind" else "/deployment/daemons"
    return Notification(kind, "over", f"over: {title}", "It stands no more.", page)


def standing(found: Iterable[Condition], since: Mapping[str, float], *, now: float) -> dict[str, float]:
    """Since when each condition stands, by its key.

    Args:
        found: The conditions as they are now.
        since: The same at the last look.
        now: The time, in seconds since the epoch.
    """
    return {condition.key: since.get(condition.key, now) for condition in found}


def _daemons(state: LoopState) -> Iterable[Condition]:
    for name, silent in state.daemons.items():
        if silent is None or silent > SILENT_SECONDS:
            said = "never" if silent is None else f"{silent:.0f} s ago"
            yield Condition(
                f"daemon {name}",
                "loop stuck",
                f"Dagster's daemon {name} is silent",
                f"its last heartbeat was {said}: see the daemon's log, and start it again",
                "/deployment/daemons",
            )


def _sensors(state: LoopState) -> Iterable[Condition]:
    for sensor in state.sensors:
        page, key = f"/locations/mlops_assets/sensors/{sensor.name}", f"sensor {sensor.name}"
        silent = sensor.seconds_since_tick
        if silent is None or silent > SILENT_SECONDS:
            said = "it has never ticked" if silent is None else f"its last tick ended {silent:.0f} s ago"
            yield Condition(
                key, "loop stuck", f"{sensor.name} does not look any more", f"{said}: is it switched off?", page, 120
            )
        elif sensor.error is not None:
            yield Condition(
                key, "loop stuck", f"{sensor.name} fails", f"its last tick failed: {sensor.error}", page, 120
            )


def _runs(state: LoopState) -> Iterable[Condition]:
    for run in state.unfinished:
        if run.age_seconds > OLD_RUN_SECONDS:
            yield Condition(
                f"run {run.run_id}",
                "loop stuck",
                f"{_named(run)} does not end",
                f"it is {run.status} for {run.age_seconds:.0f} s: end it in Dagster's page, and see its log",
                f"/runs/{run.run_id}",
            )
    for run in state.failed:
        yield Condition(
            f"failed {run.job} {run.window or ''}".strip(),
            "loop stuck",
            f"{_named(run)} failed",
            f"run {run.run_id} ended {run.age_seconds:.0f} s ago, and nothing tries it again",
            f"/runs/{run.run_id}",
        )


def _named(run: Run) -> str:
    return f"{run.job} of {run.window}" if run.window else run.job


def _windows(state: LoopState) -> Iterable[Condition]:
    if state.idle_seconds <= WAITING_SECONDS:
        return
    for window, seconds in state.waiting.items():
        if seconds > WAITING_SECONDS:
            yield Condition(
                f"window {window}",
                "loop stuck",
                f"window {window} is not taken up",
                f"it landed {seconds:.0f} s ago, and no run began or ended for {state.idle_seconds:.0f} s: "
                "see what `window_sensor` says",
                "/locations/mlops_assets/sensors/window_sensor",
            )


def _promotion(state: LoopState) -> Iterable[Condition]:
    if state.promotion_seconds is not None and state.promotion_seconds > UNFINISHED_SECONDS:
        yield Condition(
            "promotion",
            "loop stuck",
            "a promotion is not finished",
            f"its intent is {state.promotion_seconds:.0f} s old: see what `production_sensor` says",
            "/locations/mlops_assets/sensors/production_sensor",
        )
