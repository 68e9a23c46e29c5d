from pathlib import Path

import pytest

from mlops_assets.adapters.landing.requeue import Requeue
from mlops_assets.domain.windows import WindowNameInvalid


def test_nothing_is_wished_for_at_first(tmp_path: Path) -> None:
    """The folder is made with the first wish."""
    assert Requeue(tmp_path / "requeued").tokens() == {}


def test_each_wish_is_another_one(tmp_path: Path) -> None:
    """A window requeued twice is taken up twice."""
    requeue = Requeue(tmp_path / "requeued")
    requeue.ask("2024-01")
    first = requeue.tokens()["2024-01"]
    requeue.ask("2024-01")
    assert requeue.tokens().keys() == {"2024-01"}
    assert requeue.tokens()["2024-01"] != first


def test_a_name_that_is_a_way_is_refused(tmp_path: Path) -> None:
    """The name becomes a file's."""
    with pytest.raises(WindowNameInvalid):
        Requeue(tmp_path / "requeued").ask("../ledger.db")
    assert not (tmp_path / "ledger.db").exists()
