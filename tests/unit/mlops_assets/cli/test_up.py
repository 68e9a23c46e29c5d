from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from mlops_assets.cli import up
from mlops_assets.cli.stack import Stack
from mlops_assets.config import Settings


def test_what_an_earlier_supervisor_left_is_ended_before_anything_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is alive would lose the files that it works on, and be said to have failed while it goes on."""
    order: list[str] = []

    def noted(step: str) -> Callable[[object], list[str]]:
        def note(_: object) -> list[str]:
            order.append(step)
            return []

        return note

    monkeypatch.setattr("mlops_assets.cli.up.signal.signal", lambda *_: None)
    monkeypatch.setattr(up, "end_left_over", noted("end what was left over"))
    monkeypatch.setattr(up, "prepare", noted("sweep"))
    monkeypatch.setattr(up, "recover", noted("fail orphans"))
    monkeypatch.setattr(up, "wait_until_ready", lambda _: iter(()))
    monkeypatch.setattr(Stack, "start", noted("start"))
    with up.running_stack(Settings(home=tmp_path), Console(file=StringIO())):
        pass
    assert order == ["end what was left over", "sweep", "fail orphans", "start"]
