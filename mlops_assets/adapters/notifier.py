"""Sends notifications to those who are to be told, by Apprise: webhooks, e-mail, Slack and whatever else it knows.

What is told belongs to `mlops_assets.domain.notification`. A receiver's URL holds its secrets: it is named by its kind
and number, and its URL is shown nowhere.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.config import Settings
from mlops_assets.domain.location import without_secrets
from mlops_assets.domain.notification import Severity

if TYPE_CHECKING:
    from apprise import Apprise

_BETWEEN = re.compile(r"[\s,]+(?=[A-Za-z][\w.+-]*://)|\s+")
"""Between two URLs; a URL may hold commas, as one that names two channels."""
_TYPES: dict[Severity, str] = {"info": "info", "warning": "warning", "alarm": "failure", "over": "success"}
_LONGEST_ERROR = 300


class ReceiverInvalid(Exception):
    """A receiver that settings name is none; the message says which setting and what is expected."""


class NotSent(Exception):
    """A receiver did not take a notification; the message says why, without its secrets."""


@dataclass(frozen=True)
class Receiver:
    """Who is told."""

    name: str
    url: str
    alarms_only: bool

    def __repr__(self) -> str:
        """Without the URL."""
        return f"Receiver({self.name})"

    def send(self, title: str, body: str, severity: Severity) -> None:
        """Sends one notification and waits until it is taken; at most half a minute.

        Raises:
            NotSent: it was not.
        """
        import apprise  # a tenth of a second, which a tick with nothing to tell need not pay

        told = _apprise(self.url)
        result = told.notify(
            body=body,
            title=title,
            notify_type=apprise.NotifyType(_TYPES[severity]),
            body_format=apprise.NotifyFormat.TEXT,
        )
        if not result:
            said = [entry.message for one in result for attempt in one for entry in attempt.logs]
            raise NotSent(without_secrets(said[-1] if said else "it was not taken", self.url)[:_LONGEST_ERROR])


def receivers(settings: Settings) -> list[Receiver]:
    """Those that the settings name, in their order; none by default.

    Raises:
        ReceiverInvalid: one of them is no receiver.
    """
    return [*_of("MLOPS_NOTIFY", settings, alarms_only=False), *_of("MLOPS_NOTIFY_ALARMS", settings, alarms_only=True)]


def _of(setting: str, settings: Settings, *, alarms_only: bool) -> Iterator[Receiver]:
    given = (settings.notify_alarms if alarms_only else settings.notify).get_secret_value()
    seen: dict[str, int] = {}
    for number, url in enumerate(filter(None, _BETWEEN.split(given.strip())), start=1):
        _demand_receiver(url, f"{setting}: receiver {number}")
        scheme = url.partition("://")[0].lower()
        seen[scheme] = seen.get(scheme, 0) + 1
        yield Receiver(f"{scheme} {seen[scheme]}{' (alarms)' if alarms_only else ''}", url, alarms_only)


def _demand_receiver(url: str, which: str) -> None:
    scheme, is_url, _ = url.partition("://")
    if not is_url:
        raise ReceiverInvalid(
            f"{which} is no URL; give URLs with a space or a comma between them, such as json://host/path, "
            "mailtos://user:password@host?to=someone@host, slack://TokenA/TokenB/TokenC"
        )
    if not len(_apprise(url)):
        raise ReceiverInvalid(
            f"{which} ({scheme}://...) is of no kind that Apprise knows, or lacks what that kind needs; "
            "its documentation has the form of each"
        )


def _apprise(url: str) -> "Apprise":
    import apprise

    asset = apprise.AppriseAsset(
        app_id="MLOps loop", app_desc="MLOps loop", app_url="", image_url_mask="", image_url_logo="", async_mode=False
    )
    told, log = apprise.Apprise(asset=asset), logging.getLogger("apprise")
    log.setLevel(logging.CRITICAL)  # it logs a URL that it cannot read, with all that it holds
    told.add(url)
    log.setLevel(logging.WARNING)  # its debug lines hold URLs, headers and payloads
    logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)  # by which it posts, and whose hold the path
    return told
