"""The journal's tables, and the steps from the layout of an earlier release to today's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

import sqlalchemy as sa

from backend.errors import StoreError
from model_store import phases

metadata = sa.MetaData()
# Counted up by whoever changes a table; MOVES says what becomes of the rows.
LAYOUT = 6


class Text(sa.types.TypeDecorator):
    """Text as it came, but for the one letter that PostgreSQL does not store."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        return value if value is None else value.replace("\x00", "\ufffd")


# Label Studio's ids have 64 bits.
Id = sa.BigInteger


def _text(name: str) -> sa.Column:
    return sa.Column(name, Text, nullable=False, default="", server_default="")


def _count(name: str) -> sa.Column:
    return sa.Column(name, sa.Integer, nullable=False, default=0, server_default="0")


def _time(name: str) -> sa.Column:
    return sa.Column(name, sa.Float, nullable=False, default=0.0, server_default="0")


def _flag(name: str) -> sa.Column:
    return sa.Column(name, sa.Boolean, nullable=False, default=False, server_default=sa.false())


layout = sa.Table("layout", metadata, sa.Column("number", sa.Integer, primary_key=True))

# `key` is Label Studio's own "id.createdEpoch": a project that got the id of a deleted one is new.
project = sa.Table(
    "project",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("project_id", Id, nullable=False),
    _text("title"),
    _text("label_config"),
    _text("backend_url"),
    _text("access_token"),
    _text("hostname"),
    _flag("connected"),
    # The web process counts `changed` up; the worker notes in `seen` up to where it has looked.
    _count("changed"),
    _count("seen"),
    # The change with which training was last requested; 0 where every request was answered.
    _count("training_requested"),
    _time("checked_at"),
    sa.Column("phase", Text, nullable=False, default=phases.WAITING),
    _count("phase_done"),
    _count("phase_total"),
    _time("phase_started_at"),
    _count("labeled"),
    _count("skipped"),
    _count("pool"),
    sa.Column("previous_sampling", Text),
    sa.Column("webhook_id", Id),
    sa.Column("last_error", Text),
    sa.Column("last_error_at", sa.Float),
    # Since layout 2. What is computed behind the queue, beside what the queue is at.
    _text("background"),
    _count("background_done"),
    _count("background_total"),
    _time("background_started_at"),
    # Tasks whose embedding is kept, under the newest network that the whole pool went through, and
    # those that still lack one.
    _count("embedded"),
    # Null where tasks came that nobody looked at yet.
    sa.Column("unembedded", sa.Integer),
    # Users of the organization: each may hold a task.
    _count("users"),
    sa.Column("tab_id", Id),
    sa.Column("background_error", Text),
    # Since layout 3. How often the class of a task came, changed or went, as far as it was read.
    _count("label_changes"),
    # Submitted and skipped, as Label Studio counts them.
    _count("annotations"),
    # The row of the Model page that was found to lead here; null: Label Studio confirmed none yet.
    sa.Column("row_id", Id),
    _text("row_url"),
    # Calls of /setup that were believed, or may be.
    _count("setups"),
    # What a call said whose token is not the project's.
    _text("offered_token"),
    _text("offered_hostname"),
    # Since layout 4. When the drafts of the queue's tasks were last looked at.
    _time("drafts_read_at"),
    # Since layout 5. What the admin set for this project alone: texts by the names of settings.
    sa.Column("own_settings", sa.JSON, nullable=False, default={}, server_default="{}"),
    _flag("is_paused"),
    # "", or what a backtest that the admin asked for is at; what the last one came to.
    _text("backtest"),
    _count("backtest_done"),
    _count("backtest_total"),
    sa.Column("backtest_error", Text),
    _time("backtest_at"),
)

# Since layout 3. One row: the name that no other MODEL_DIR has.
instance = sa.Table(
    "instance",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("name", Text, nullable=False),
    # Since layout 4. The folder in MODEL_DIR that the journal belongs to; "" where it lies in it.
    _text("folder"),
)

# Since layout 4. Which worker may write of a project, where several may run; by the database's
# clock. The token grows with each holder.
lease = sa.Table(
    "lease",
    metadata,
    sa.Column("key", Text, primary_key=True),
    _text("holder"),
    sa.Column("token", sa.BigInteger, nullable=False, default=0, server_default="0"),
    _time("expires_at"),
)

# Since layout 4. The workers that share the projects.
worker = sa.Table(
    "worker",
    metadata,
    sa.Column("holder", Text, primary_key=True),
    _time("expires_at"),
)

round_ = sa.Table(
    "round",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    _text("phase"),
    _text("strategy"),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("classes", sa.JSON, nullable=False),
    _count("n_labeled"),
    _count("n_pool"),
    _text("model_version"),
    sa.Column("checkpoint", Text),
    sa.Column("features_version", Text),
    sa.Column("statistics", sa.JSON, nullable=False),
    sa.Column("seconds", sa.JSON, nullable=False),
    _time("started_at"),
    sa.Column("finished_at", sa.Float),
    # Since layout 2: the network whose embeddings it chose from, and of how many tasks.
    _count("tuning"),
    _count("n_embedded"),
    # Since layout 3: the project's, when it was opened.
    _count("label_changes"),
)

# A round's published tasks; where the ranking goes on lies in a file of the round.
batch = sa.Table(
    "batch",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("rank", sa.Integer, primary_key=True),
    sa.Column("task_id", Id, nullable=False, index=True),
    # Its round's number and its own.
    sa.Column("cluster", sa.BigInteger, nullable=False, default=0, server_default="0"),
    _time("score"),
    _flag("is_reserve"),
    sa.Column("class_name", Text),
    sa.Column("probability", sa.Float),
    sa.Column("prediction_id", Id),
    # Since layout 4. Somebody keeps a draft of it: nobody else is served it, or only much later.
    _flag("is_put_off"),
)

# Since layout 5. Tasks drawn at random to measure a round's head, and what it gave before anybody
# labeled them.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("task_id", Id, primary_key=True),
    _count("n_labeled"),
    # How likely each task of the pool was to be drawn.
    _time("share"),
    # The probability of each class, by its name.
    sa.Column("probabilities", sa.JSON, nullable=False),
    # A later round served the task before it had a label: it was chosen, not drawn.
    _flag("is_closed"),
    # Since layout 6. The class with the highest of them.
    _text("predicted"),
    sa.Index("ix_audit_task", "key", "task_id"),
)

# Since layout 5. Tasks that the admin wants labeled first.
asked = sa.Table(
    "asked",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("task_id", Id, primary_key=True),
    # Small ones first.
    sa.Column("place", sa.Integer, nullable=False),
    # 0 where it was taken back. The row stays: the queue may hold its place, which is given once.
    _time("asked_at"),
)

unreadable = sa.Table(
    "unreadable",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("task_id", Id, primary_key=True),
    _text("uri"),
    _text("reason"),
    _time("tried_at"),
)

# Since layout 2. One row for each network that embeds the pool; number 0 is the pre-trained one.
tuning = sa.Table(
    "tuning",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    _text("phase"),
    sa.Column("checkpoint", Text),
    sa.Column("features_version", Text),
    sa.Column("classes", sa.JSON, nullable=False),
    _count("n_labeled"),
    sa.Column("statistics", sa.JSON, nullable=False),
    sa.Column("seconds", sa.JSON, nullable=False),
    _time("started_at"),
    sa.Column("finished_at", sa.Float),
    # Since layout 3: the project's, when its labels were read.
    _count("label_changes"),
)

# Since layout 2. What Label Studio said of each task when it was last read.
task = sa.Table(
    "task",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("task_id", Id, primary_key=True),
    # One of the two is null: the image, or what the task's data holds instead of one.
    sa.Column("uri", Text),
    sa.Column("problem", Text),
    sa.Column("image_key", Text),
    sa.Column("class_name", Text),
    _flag("is_done"),
    _flag("is_skipped"),
    # Seconds since the epoch by Label Studio's clock, and the user, of the newest annotation.
    sa.Column("annotated_at", sa.Float),
    sa.Column("annotated_by", Id),
    # Since layout 3: submitted and skipped.
    _count("annotations"),
    sa.Index("ix_task_annotated_at", "key", "annotated_at"),
    sa.Index("ix_task_image_key", "key", "image_key"),
)

# Since layout 2. How far the tasks of a project have been read.
reading = sa.Table(
    "reading",
    metadata,
    sa.Column("key", Text, primary_key=True),
    # What of the label config decided how tasks were read.
    _text("config"),
    # The newest change that was read, by Label Studio's clock.
    _text("newest_change"),
    # When it was read, by the journal's clock.
    _time("newest_read_at"),
    # Pages of the first reading: how many there are, and which have been read.
    _count("page_count"),
    sa.Column("pages_read", sa.JSON, nullable=False),
    _time("compared_at"),
    # Since layout 3. When the mirror was first found to lack annotations; 0: it does not.
    _time("lacking_since"),
)


def prepare(connection: sa.Connection) -> None:
    """Create what is missing and bring an earlier release's tables up to date.

    Nobody else may do so at the same moment. StoreError: a later release wrote them.
    """
    found = _found_layout(connection)
    if found > LAYOUT:
        raise StoreError(
            f"the journal has layout {found}, this release knows layouts up to {LAYOUT}; "
            "needed is the release that wrote it, or a later one"
        )
    _create_missing(connection)
    for number in range(found + 1, LAYOUT + 1):
        if found and number in MOVES:
            MOVES[number](connection)
    if found != LAYOUT:
        connection.execute(layout.delete())
        connection.execute(layout.insert().values(number=LAYOUT))


def lacks(connection: sa.Connection) -> bool:
    """Whether tables of today's layout lack a table or a column: somebody took it away."""
    if _found_layout(connection) != LAYOUT:
        return False
    inspector = sa.inspect(connection)
    known = set(inspector.get_table_names())
    return any(
        table.name not in known
        or not set(table.c.keys()) <= {found["name"] for found in inspector.get_columns(table.name)}
        for table in metadata.sorted_tables
    )


def _found_layout(connection: sa.Connection) -> int:
    """The layout of the tables that are there; 0 where there are none."""
    tables = set(sa.inspect(connection).get_table_names())
    if "layout" in tables:
        number = connection.execute(sa.select(layout.c.number)).scalar()
        return LAYOUT if number is None else int(number)
    return 1 if "project" in tables else 0


def _create_missing(connection: sa.Connection) -> None:
    """Create the tables, columns and indexes that are not there."""
    inspector = sa.inspect(connection)
    known = set(inspector.get_table_names())
    for table in metadata.sorted_tables:
        connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
        if table.name in known:
            _add_columns(connection, table, {c["name"] for c in inspector.get_columns(table.name)})
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))


def _add_columns(connection: sa.Connection, table: sa.Table, known: Set[str]) -> None:
    for column in table.columns:
        if column.name not in known:
            text = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f'ALTER TABLE "{table.name}" ADD COLUMN {text}')


def _to_layout_2(connection: sa.Connection) -> None:
    """Fine-tuning left the round: what a round had tuned becomes a network of its own."""
    for name in ("counters", "batch_progress_at"):
        connection.exec_driver_sql(f"ALTER TABLE project DROP COLUMN {name}")
    for row in connection.execute(_newest_tuned()).mappings().all():
        values = {name: row[name] for name in ("key", "checkpoint", "features_version", "classes")}
        values |= {name: row[name] for name in ("n_labeled", "seconds", "started_at")}
        values |= {"number": 1, "phase": phases.DONE, "finished_at": row["finished_at"]}
        connection.execute(tuning.insert().values(**values, statistics={}))
        here = (round_.c.key == row["key"]) & (round_.c.number == row["number"])
        connection.execute(round_.update().where(here).values(tuning=1, n_embedded=row["n_pool"]))
    # A round that was under way begins again from its choice: it takes seconds now.
    unfinished = round_.c.phase.in_(["train", "embed"])
    connection.execute(round_.update().where(unfinished).values(phase=phases.SELECT))


def _newest_tuned() -> sa.Select:
    """The newest finished round of each project that has a checkpoint."""
    done = (round_.c.phase == phases.DONE) & round_.c.checkpoint.is_not(None)
    newest = sa.select(round_.c.key, sa.func.max(round_.c.number).label("number"))
    latest = newest.where(done).group_by(round_.c.key).subquery()
    return sa.select(round_).join(
        latest, (round_.c.key == latest.c.key) & (round_.c.number == latest.c.number)
    )


def _to_layout_3(connection: sa.Connection) -> None:
    """What was counted by labels is counted by their changes: until now one for each label."""
    is_labeled = task.c.class_name.is_not(None) & task.c.uri.is_not(None)
    labels = sa.select(sa.func.count()).where(task.c.key == project.c.key, is_labeled)
    connection.execute(project.update().values(label_changes=labels.scalar_subquery()))
    connection.execute(round_.update().values(label_changes=round_.c.n_labeled))
    connection.execute(tuning.update().values(label_changes=tuning.c.n_labeled))
    # Tasks are read again, with the number of their annotations.
    connection.execute(reading.delete())


def _to_layout_6(connection: sa.Connection) -> None:
    """What a drawn task was taken for stands beside its probabilities, to be read without them."""
    draws = connection.execute(sa.select(*audit.primary_key, audit.c.probabilities))
    found = [
        {
            **{"of_key": row.key, "of_number": row.number, "of_task_id": row.task_id},
            "predicted": max(row.probabilities, key=row.probabilities.__getitem__),
        }
        for row in draws
    ]
    if found:
        names = [column.name for column in audit.primary_key]
        here = [audit.c[name] == sa.bindparam(f"of_{name}") for name in names]
        connection.execute(audit.update().where(*here), found)


# What is not done by creating what is missing: where else an earlier layout's rows belong.
MOVES: Mapping[int, Callable[[sa.Connection], None]] = {
    **{2: _to_layout_2, 3: _to_layout_3},
    6: _to_layout_6,
}
