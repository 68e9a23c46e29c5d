"""Asks the feature table in PostgreSQL.

Its writer replaces the table by a rename in one transaction, so each lookup is one statement on one table: what it
finds and what the table says of itself are of the same moment. A new table has no grants but the default ones: where
the service connects as another user than the graph, `ALTER DEFAULT PRIVILEGES ... GRANT SELECT ON TABLES` to it.
"""

import logging
from collections import deque
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from serving.entity_key import EntityKey
from serving.feature_table import (
    DATABASE_TABLE,
    META_KEY,
    FeaturesUnavailable,
    FoundFeatures,
    answer,
    demand_fit,
    demanded_key,
    read_meta,
)
from serving.release import Manifest

MOST_IDLE = 8
"""Connections that are kept; more are opened where more threads ask at once."""
_LOOKUP = sql.SQL("SELECT entity, as_of, features FROM {} WHERE entity IN (%s, %s)").format(
    sql.Identifier(DATABASE_TABLE)
)

logger = logging.getLogger(__name__)

Rows = dict[str, tuple[int, str]]


class FeatureDatabase:
    """A table in a server that may be away; safe to ask from several threads, and each question may take a while."""

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        """Connects to nothing yet.

        Raises:
            FeaturesUnavailable: the URL is none that the driver can read.
        """
        self._url = url
        milliseconds = max(1, round(timeout_seconds * 1000))
        try:
            own_options = conninfo_to_dict(url).get("options") or ""  # where a search path may stand
        except psycopg.Error:
            # The driver's words hold the URL, and with it the password.
            raise FeaturesUnavailable(
                "SERVING_FEATURES is no URL such as postgresql://user@host/database; correct it"
            ) from None
        self._limits: dict[str, Any] = {
            "connect_timeout": max(1, round(timeout_seconds)),
            "tcp_user_timeout": milliseconds,  # a server that is gone without a word
            "options": f"{own_options} -c statement_timeout={milliseconds} -c default_transaction_read_only=on",
            "autocommit": True,
            "prepare_threshold": None,  # a pooler between hands connections from one client to another
        }
        self._idle: deque[psycopg.Connection] = deque()

    def find(self, key: EntityKey, manifest: Manifest, *, now: float) -> FoundFeatures:
        """As `FeatureTable` says."""
        entity = demanded_key(key)
        try:
            rows = self._rows(entity)
        except psycopg.errors.UndefinedTable as error:
            raise FeaturesUnavailable(
                f"there is no table {DATABASE_TABLE} in the feature database: the graph builds it when a window has "
                "landed (MLOPS_FEATURES_URL), or when feature_table is materialized"
            ) from error
        except psycopg.Error as error:
            # The driver's words hold the server's address and the user: a class is enough to tell what failed.
            logger.error("the feature database does not answer: %s", type(error).__name__)
            raise FeaturesUnavailable("the feature database does not answer; try again later") from error
        if (said := rows.get(META_KEY)) is None:
            raise FeaturesUnavailable(f"{DATABASE_TABLE} says nothing of itself: materialize feature_table")
        meta = read_meta(said[1])
        demand_fit(meta, manifest)
        return answer(meta, entity, rows.get(entity), manifest, now=now)

    def close(self) -> None:
        """Gives the idle connections back."""
        while self._idle:
            self._idle.pop().close()

    def _rows(self, entity: str) -> Rows:
        while True:
            try:
                connection, is_new = self._idle.pop(), False
            except IndexError:
                connection, is_new = psycopg.connect(self._url, **self._limits), True
            try:
                found = connection.execute(_LOOKUP, (META_KEY, entity)).fetchall()
            except psycopg.Error:
                was_lost = connection.closed
                connection.close()
                if was_lost and not is_new:
                    continue  # it was kept through a restart of the server
                raise
            if len(self._idle) < MOST_IDLE:
                self._idle.append(connection)
            else:
                connection.close()
            return {name: (as_of, features) for name, as_of, features in found}
