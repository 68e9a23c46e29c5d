"""Prevents settings that nobody can understand, and errors that speak of our libraries."""

import pytest

from serving.__main__ import described_settings, main
from serving.settings import Settings


def test_every_setting_is_named_with_its_default_and_what_it_is_for() -> None:
    """Prevents that an operator must read the source."""
    paragraphs = described_settings().split("\nSERVING_")
    assert len(paragraphs) == len(Settings.model_fields)
    assert "SERVING_ALLOWED_HOSTS=127.0.0.1,localhost,[::1]" in described_settings()
    assert "One of refuse, serve-and-count. What becomes of a row" in " ".join(described_settings().split())
    assert "Undefined" not in described_settings()
    undescribed = [paragraph.split("=")[0] for paragraph in paragraphs if "\n    " not in paragraph]
    assert undescribed == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "abc", "SERVING_PORT: Input should be a valid integer"),
        ("LOG_FULL", "drop", "SERVING_LOG_FULL: Input should be 'refuse' or 'serve-and-count'"),
        ("ALLOWED_HOSTS", '["a.example"]', "SERVING_ALLOWED_HOSTS: Value error, '\\[\"a.example\"\\]' is no host name"),
    ],
)
def test_a_wrong_setting_is_named_as_the_operator_wrote_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    """Prevents a page of pydantic."""
    monkeypatch.setenv(f"SERVING_{name}", value)
    monkeypatch.setattr("sys.argv", ["serving"])
    with pytest.raises(SystemExit, match=said) as exit_:
        main()
    assert "pydantic" not in str(exit_.value)


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("127.0.0.1", False),
        ("::1", False),
        ("localhost", False),
        (".".join("0000"), True),
        ("::", True),
        ("a.example", True),
    ],
)
def test_an_address_is_public_unless_it_is_loopbacks(host: str, public: bool) -> None:
    """Prevents that an address which others reach passes for one of this machine (S1)."""
    assert Settings(host=host).is_public is public
