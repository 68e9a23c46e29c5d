"""Promotions whose ledger is a real PostgreSQL. Prevents what SQLite, with its one writer at a time, cannot show."""

from collections.abc import Callable

import psycopg
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import make_url

from mlops_assets.adapters.ledger import Ledger
from tests.integration.servers import PostgresServer
from tests.unit.mlops_assets.adapters.promotion_machine import Promotions

# The ledger's own tests, here with a server's URL.
from tests.unit.mlops_assets.adapters.test_ledger import (  # noqa: F401
    ledger,
    test_a_hold_keeps_the_loop_from_promoting_until_it_is_lifted,
    test_a_promotion_that_begins_while_another_is_being_taken_waits_and_loses,
    test_a_refused_way_back_puts_no_hold,
    test_epochs_grow_by_one,
    test_going_back_asks_for_no_hold_and_puts_one,
    test_many_openings_of_a_new_database_do_not_collide,
    test_of_two_processes_on_a_new_database_exactly_one_wins,
    test_of_two_threads_exactly_one_wins,
    test_once_a_hold_is_set_no_promotion_begins,
    test_the_first_outcome_stays,
    test_while_a_promotion_is_open_no_other_begins,
    url,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def new_url(postgres: PostgresServer) -> Callable[[], str]:
    """Says at each call where an empty ledger can be; the one before is gone then."""
    server = make_url(postgres.url).set(drivername="postgresql+psycopg")
    in_schema = server.update_query_dict({"options": "-csearch_path=ledger"}).render_as_string(hide_password=False)

    def emptied() -> str:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS ledger CASCADE")
            connection.execute("CREATE SCHEMA ledger")
        return in_schema

    return emptied


def test_a_restart_of_the_server_between_two_questions_is_not_noticed(
    postgres: PostgresServer, new_url: Callable[[], str]
) -> None:
    """The loop runs for months, and its database is updated meanwhile: every connection is gone then."""
    opened = Ledger(new_url())
    for _ in range(2):
        assert opened.production() is None
        with psycopg.connect(postgres.url) as restarting:
            restarting.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )


@pytest.mark.timeout(600)
def test_promotions_and_crashes_in_any_order_leave_one_story(new_url: Callable[[], str]) -> None:
    """The machine of the unit tests. Its 500 examples take 130 s: each question connects anew."""

    class InPostgresql(Promotions):
        def __init__(self) -> None:
            super().__init__(lambda _: new_url())

    run_state_machine_as_test(InPostgresql, settings=settings(max_examples=500, stateful_step_count=12, deadline=None))
