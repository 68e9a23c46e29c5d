"""Identity and order: the same bytes are noticed, a corrected window is a new version, late ones go by their period."""

import shutil
from itertools import permutations
from pathlib import Path

import pytest

from mlops_assets.adapters.promotion import Promoter
from mlops_assets.cli.history import window_history
from mlops_assets.cli.status import promoted_versions
from mlops_assets.definitions import build_definitions
from tests.integration.conftest import CONTRACT, Loop, failure_message, new_loop

pytestmark = pytest.mark.integration


def handled(loop: Loop, window: str) -> str:
    """Ingests a window, starts the training that its report asks for, and gives the decision."""
    assert loop.ingest(window).success
    report = loop.reported("drift_report", window)
    if report and report["trains"]:
        assert loop.train(str(report["trains"])).success
    return str(report["decision"]) if report else "none"


def test_the_same_bytes_under_another_name_are_noticed_and_not_trained_on(loop: Loop) -> None:
    first = loop.land("2024-01")
    handled(loop, "2024-01")
    shutil.copyfile(first, loop.settings.landing / "2024-02.parquet")

    assert handled(loop, "2024-02") == "none"
    stored = loop.reported("data_window", "2024-02")
    assert stored["status"] == "quarantined"
    assert "holds the same bytes as the window 2024-01" in stored["fault"]
    assert [part.window for part in loop.windows.training_windows("2024-03")] == ["2024-01"]


def test_the_same_bytes_again_are_not_trained_on_twice(tmp_path: Path, empty_mlflow: Path) -> None:
    """A file that was touched, a sensor whose cursor was lost: the refused candidate must not come back."""
    with new_loop(tmp_path, empty_mlflow, contract=_contract(tmp_path, "min_gain = 0.01", "min_gain = 0.9")) as loop:
        loop.land("2024-01")
        handled(loop, "2024-01")
        loop.land("2024-02", shift=3)
        assert handled(loop, "2024-02") == "trained"
        version = loop.reported("data_window", "2024-02")["data_version"]
        refused = window_history(loop.instance, "2024-02", promoted_versions(loop.ledger))
        assert refused.verdict == "refused"

        assert handled(loop, "2024-02") == "answered"
        assert loop.reported("data_window", "2024-02")["data_version"] == version
        assert len(loop.registry.versions()) == 2

        contract = loop.settings.dataset
        contract.write_text(contract.read_text().replace("min_gain = 0.9", "min_gain = 0.0"))
        loop.definitions = build_definitions(loop.settings)
        assert loop.ingest("2024-02").success
        assert loop.reported("drift_report", "2024-02")["decision"] == "trained", "another gate may let it through"


def test_a_candidate_that_nothing_was_decided_on_is_no_answer(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger's disk was full, or MLflow down: there would be no production, and no way to one."""
    loop.land("2024-01")
    loop.ingest("2024-01")
    with monkeypatch.context() as patch:
        patch.setattr(Promoter, "promote", _disk_full)
        assert not loop.train("2024-01").success
    assert loop.reported("candidate_model", "2024-01")["model_version"] == 1

    assert handled(loop, "2024-01") == "first"
    assert loop.served_version() == 2


def test_a_late_window_asks_for_no_training_that_cannot_be(tmp_path: Path, empty_mlflow: Path) -> None:
    """Production's window was removed; its training would fail, and the late window's decision would say nothing."""
    contract = _contract(tmp_path, "train_windows = 1", "train_windows = 3")
    with new_loop(tmp_path, empty_mlflow, contract=contract) as loop:
        loop.land("2024-02")
        handled(loop, "2024-02")
        loop.windows.remove("2024-02")
        loop.land("2024-01")
        assert handled(loop, "2024-01") == "late"
        report = loop.reported("drift_report", "2024-01")
        assert report["trains"] == ""
        assert "`mlops quarantine requeue 2024-02`" in report["reason"]

        assert handled(loop, "2024-02") == "trained"
        assert loop.reported("candidate_model", "2024-02")["training_windows"].keys() == {"2024-01", "2024-02"}


def test_other_bytes_under_the_same_name_are_a_new_version_and_the_old_one_stays(loop: Loop) -> None:
    loop.land("2024-01")
    handled(loop, "2024-01")
    before = loop.reported("data_window", "2024-01")["data_version"]
    loop.land("2024-01", rows=900)

    assert handled(loop, "2024-01") == "trained", "production learned from another version of it"
    after = loop.reported("data_window", "2024-01")
    assert after["replaces"] == before != after["data_version"]
    assert (loop.settings.windows / "2024-01" / before / "clean.parquet").exists()


def test_a_broken_correction_leaves_the_good_version_in_use(loop: Loop) -> None:
    path = loop.land("2024-01")
    handled(loop, "2024-01")
    before = loop.windows.current("2024-01")
    path.write_bytes(path.read_bytes()[:1000])

    assert loop.ingest("2024-01").success
    assert loop.reported("data_window", "2024-01")["status"] == "quarantined"
    assert loop.windows.current("2024-01") == before
    assert window_history(loop.instance, "2024-01", promoted_versions(loop.ledger)).verdict == "unfit"


def test_a_late_window_never_brings_production_back_to_its_period(loop: Loop) -> None:
    loop.land("2024-03")
    handled(loop, "2024-03")
    loop.land("2024-01", shift=3, flipped=True)

    assert handled(loop, "2024-01") == "late"
    assert loop.reported("drift_report", "2024-01")["trains"] == "", "train_windows is 1: 2024-03 learns from no other"
    by_hand = loop.train("2024-01")
    assert by_hand.success
    assert loop.served_version() == 1, "its candidate beats production on 2024-01, and is refused"
    refused = loop.promote_by_hand()
    assert "late: it is of the window 2024-01, production is of the newer window 2024-03" in failure_message(refused)


def test_shuffled_arrival_ends_with_the_same_windows_and_the_same_training_data(
    tmp_path: Path, empty_mlflow: Path
) -> None:
    """Arriving last, a window that production would have learned from trains production's own window anew.

    Every second of the orders: all six take two minutes. The rule's own test shuffles twelve windows in a second.
    """
    ends = []
    for arrival in list(permutations(("2024-01", "2024-02", "2024-03")))[::2]:
        folder = tmp_path / "-".join(arrival)
        folder.mkdir()
        with new_loop(
            folder, empty_mlflow, contract=_contract(folder, "train_windows = 1", "train_windows = 3")
        ) as loop:
            epochs = []
            for window in arrival:
                loop.land(window, shift=3 * int(window[-1]), flipped=window == "2024-03")
                handled(loop, window)
                pointer = loop.releases.production()
                assert pointer is not None
                epochs.append(pointer.manifest.validation_window.window)
            newest = loop.windows.training_windows("2024-03")
            ends.append([(part.window, part.data_version, part.counts) for part in newest])
            candidates = loop.reported("candidate_model", "2024-03")["training_windows"]
            assert candidates == {part.window: part.data_version for part in newest}, arrival
            assert epochs == sorted(epochs), f"production went back: {arrival}"
    assert all(end == ends[0] for end in ends)
    assert [window for window, _, _ in ends[0]] == ["2024-01", "2024-02", "2024-03"]


def _disk_full(*_: object) -> None:
    raise OSError("no space left on the disk of the ledger")


def _contract(folder: Path, line: str, instead: str) -> Path:
    """The small contract with another line."""
    assert line in CONTRACT
    contract = folder / "contract.toml"
    contract.write_text(CONTRACT.replace(line, instead))
    return contract
