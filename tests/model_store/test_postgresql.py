"""A journal in PostgreSQL: what it says when it is refused, and what is shared with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
import sqlalchemy as sa

from backend.errors import JournalDamagedError, JournalError, StoreError
from model_store import postgresql
from model_store.files import write_bytes
from model_store.journal import MARK_NAME, Journal
from tests.model_store.conftest import execute
from tests.postgresql import PostgresServer
from tests.states import KEY, mirrored_task, queued_task, round_state

pytestmark = pytest.mark.postgresql
# The highest id that a database of Label Studio's has.
HIGHEST = 2**63 - 1


@pytest.fixture
def journal(database_url: str) -> Iterator[Journal]:
    with closing(Journal(database_url)) as journal:
        journal.note_changed(KEY)
        yield journal


def test_ids_of_64_bits_are_kept(journal):
    journal.note_changed("999999999999999999.5")
    journal.update_project(KEY, webhook_id=HIGHEST, row_id=HIGHEST, tab_id=HIGHEST)
    journal.open_round(round_state(90_000))
    queued = queued_task(0, HIGHEST, cluster=9_000_000_000, prediction_id=HIGHEST)
    journal.add_to_queue(round_state(90_000), [queued])
    journal.tasks.put(KEY, [mirrored_task(HIGHEST, annotated_by=HIGHEST)])
    assert journal.project("999999999999999999.5").project_id == 999999999999999999
    assert journal.project(KEY).webhook_id == HIGHEST
    assert journal.queue(round_state(90_000)) == [queued]
    assert journal.tasks.ids(KEY) == [HIGHEST]


def test_letter_that_postgresql_does_not_store_is_replaced(journal):
    journal.note_setup(KEY, backend_url="http://b", token="a\0b", hostname="")
    assert journal.project(KEY).access_token == "a\ufffdb"


def test_counts_are_whole_numbers(journal):
    journal.tasks.put(KEY, [mirrored_task(1, class_name="cat", annotations=3)])
    assert repr(journal.tasks.counts(KEY).annotations) == "3"


@pytest.mark.parametrize(
    ("password", "query", "said"),
    [
        ("w-r-o-n-g", {}, "password authentication failed"),
        (None, {"port": "1"}, "Connection refused"),
        (None, {"dbname": "nobody-made-it"}, "does not exist"),
    ],
)
def test_opening_says_why_it_fails_and_keeps_the_password(postgres, password, query, said):
    url = postgres.url(password, **query)
    with pytest.raises(StoreError, match=said) as raised:
        Journal(url)
    shown = f"postgresql+psycopg://admin:***@127.0.0.1:{postgres.port}/postgres"
    assert str(raised.value).startswith(f"the journal {shown} cannot be opened or written: ")
    for secret in (postgres.password, "w-r-o-n-g"):
        assert secret not in str(raised.value)


def test_opening_says_that_the_user_may_make_no_tables(postgres, database_url):
    schema = sa.make_url(database_url).query["options"].removeprefix("-csearch_path=")
    execute(database_url, "CREATE ROLE nobody LOGIN PASSWORD 'n'")
    execute(database_url, f"GRANT USAGE ON SCHEMA {schema} TO nobody")
    url = sa.make_url(database_url).set(username="nobody", password="n")
    with pytest.raises(StoreError, match=f"permission denied for schema {schema}"):
        Journal(url.render_as_string(hide_password=False))
    execute(database_url, "DROP OWNED BY nobody; DROP ROLE nobody")


def refusals(journal: Journal) -> list[str]:
    """What reading, writing and `/health` say."""
    found = []
    for ask in (journal.projects, lambda: journal.note_changed(KEY), journal.upkeep.probe):
        with pytest.raises(JournalError) as raised:
            ask()
        assert not isinstance(raised.value, JournalDamagedError)
        found.append(str(raised.value))
    return found


def test_journal_is_refused_while_postgresql_is_away_and_goes_on_when_it_is_back():
    server = PostgresServer()
    try:
        with closing(Journal(server.url())) as journal:
            journal.note_changed(KEY)
            server.stop()
            away = "the journal cannot be reached: PostgreSQL does not answer"
            assert refusals(journal) == [away] * 3
            server.start()
            journal.upkeep.probe()
            journal.note_changed(KEY)
            assert journal.project(KEY).changed == 2
    finally:
        server.close()


def test_journal_is_refused_while_postgresql_stands_still_and_goes_on_after_that(monkeypatch):
    monkeypatch.setattr(postgresql, "ANSWER_S", 1.0)
    server = PostgresServer()
    try:
        with closing(Journal(server.url())) as journal:
            journal.upkeep.limit_waiting(0.1)
            journal.note_changed(KEY)
            journal.upkeep.probe()
            server.freeze()
            away = "the journal cannot be reached: PostgreSQL does not answer"
            assert refusals(journal) == [away] * 3
            server.thaw()
            journal.upkeep.probe()
            before = journal.project(KEY).changed
            journal.note_changed(KEY)
            assert journal.project(KEY).changed == before + 1
    finally:
        server.thaw()
        server.close()


def test_transaction_is_given_up_when_postgresql_stands_still_within_it(monkeypatch):
    monkeypatch.setattr(postgresql, "ANSWER_S", 1.0)
    server = PostgresServer()
    try:
        with closing(Journal(server.url())) as journal:
            journal.upkeep.limit_waiting(0.1)
            journal.note_changed(KEY)
            with (
                pytest.raises(JournalError, match="PostgreSQL does not answer"),
                journal._database.transaction() as connection,
            ):
                connection.exec_driver_sql("UPDATE project SET title = 'half'")
                server.freeze()
                connection.exec_driver_sql("UPDATE project SET title = 'whole'")
            server.thaw()
            journal.note_changed(KEY)
            assert journal.project(KEY).title == ""
    finally:
        server.thaw()
        server.close()


def test_restart_between_two_pieces_of_work_is_not_noticed():
    server = PostgresServer()
    try:
        with closing(Journal(server.url())) as journal:
            journal.note_changed(KEY)
            server.stop()
            server.start()
            journal.note_changed(KEY)
            journal.upkeep.probe()
            assert journal.project(KEY).changed == 2
    finally:
        server.close()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER TABLE project DROP COLUMN title", r"lacks a table or a column \(SQLSTATE 42703\)"),
        ("DROP TABLE project", r"lacks a table or a column \(SQLSTATE 42P01\)"),
    ],
)
def test_tables_that_somebody_changed_are_tried_again(journal, database_url, statement, said):
    # There is no copy to go back to: it waits until somebody puts them right.
    execute(database_url, statement)
    with pytest.raises(JournalError, match=said) as raised:
        journal.projects()
    assert not isinstance(raised.value, JournalDamagedError)


def test_lock_of_another_process_is_waited_for_and_then_said(journal, database_url):
    journal.upkeep.limit_waiting(0.05)
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT * FROM project FOR UPDATE")
        connection.exec_driver_sql("SELECT * FROM layout FOR UPDATE")
        with pytest.raises(JournalError, match="the journal is locked by another process"):
            journal.note_changed(KEY)
        journal.upkeep.probe()
    journal.note_changed(KEY)


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["SET TRANSACTION READ ONLY", "UPDATE layout SET number = 1"], "PostgreSQL is read-only"),
        (["SET statement_timeout = 10", "SELECT pg_sleep(1)"], r"or written \(SQLSTATE 57014\)"),
        (["SET ROLE pg_monitor", "TABLE pg_authid"], "the user has no right to"),
    ],
)
def test_refusal_is_said_in_a_sentence(journal, statements, said):
    with (
        pytest.raises(JournalError, match=said),
        journal._database.transaction() as connection,
    ):
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_machines_that_start_at_once_make_one_journal(database_url, tmp_path):
    names: list[str] = []
    failures: list[Exception] = []

    def begin() -> None:
        try:
            with closing(Journal.shared_by(tmp_path, database_url)) as journal:
                names.append(journal.instance())
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(set(names)) == 1
    assert len(names) == 4


def test_journal_belongs_to_one_label_studio(database_url, tmp_path):
    with closing(Journal.shared_by(tmp_path / "one.example.com", database_url)) as journal:
        name = journal.instance()
    two = tmp_path / "two.example.com"
    write_bytes(two / MARK_NAME, name.encode())
    with pytest.raises(StoreError, match=r"holds the journal of one\.example\.com, and .* two\."):
        Journal.shared_by(two, database_url)


def test_journal_belongs_to_one_shared_folder(database_url, tmp_path):
    there, elsewhere = tmp_path / "shared" / "host", tmp_path / "local" / "host"
    with closing(Journal.shared_by(there, database_url)) as journal:
        name = journal.instance()
    assert (there / MARK_NAME).read_text() == name
    with pytest.raises(StoreError, match=f"do not belong together.* write {name} into"):
        Journal.shared_by(elsewhere, database_url)
    (elsewhere / MARK_NAME).write_text(name)  # as the sentence says
    Journal.shared_by(elsewhere, database_url).close()


def test_folder_belongs_to_one_journal(postgres, tmp_path):
    Journal.shared_by(tmp_path, postgres.create_schema()).close()
    with pytest.raises(StoreError, match="do not belong together"):
        Journal.shared_by(tmp_path, postgres.create_schema())


def test_url_without_a_driver_name_is_psycopgs(database_url):
    Journal(database_url.replace("postgresql+psycopg://", "postgresql://")).close()


def test_patience_of_the_url_counts(postgres):
    engine = postgresql.create_engine(postgres.url(connect_timeout="77"), busy_s=1.0)
    with engine.connect() as connection:
        parameters = connection.connection.dbapi_connection.info.get_parameters()
    assert (parameters["connect_timeout"], parameters["tcp_user_timeout"]) == ("77", "15000")
