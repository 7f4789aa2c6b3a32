"""The journal's tables."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()


def create(engine: sa.Engine) -> None:
    """Create what is missing; several processes may do so at the same moment."""
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))


def _text(name: str) -> sa.Column:
    return sa.Column(name, sa.Text, nullable=False, default="")


def _count(name: str) -> sa.Column:
    return sa.Column(name, sa.Integer, nullable=False, default=0)


def _time(name: str) -> sa.Column:
    return sa.Column(name, sa.Float, nullable=False, default=0.0)


def _flag(name: str) -> sa.Column:
    return sa.Column(name, sa.Boolean, nullable=False, default=False)


# `key` is Label Studio's own "id.createdEpoch": a project that got the id of a deleted one is new.
project = sa.Table(
    "project",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("project_id", sa.Integer, nullable=False),
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
    sa.Column("phase", sa.Text, nullable=False, default="waiting"),
    _count("phase_done"),
    _count("phase_total"),
    _time("phase_started_at"),
    _count("labeled"),
    _count("skipped"),
    _count("pool"),
    _text("counters"),
    sa.Column("previous_sampling", sa.Text),
    sa.Column("webhook_id", sa.Integer),
    sa.Column("last_error", sa.Text),
    sa.Column("last_error_at", sa.Float),
    _time("batch_progress_at"),
)

round_ = sa.Table(
    "round",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    _text("phase"),
    _text("strategy"),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("classes", sa.JSON, nullable=False),
    _count("n_labeled"),
    _count("n_pool"),
    _text("model_version"),
    sa.Column("checkpoint", sa.Text),
    sa.Column("features_version", sa.Text),
    sa.Column("statistics", sa.JSON, nullable=False),
    sa.Column("seconds", sa.JSON, nullable=False),
    _time("started_at"),
    sa.Column("finished_at", sa.Float),
)

batch = sa.Table(
    "batch",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("rank", sa.Integer, primary_key=True),
    sa.Column("task_id", sa.Integer, nullable=False, index=True),
    _count("cluster"),
    _time("score"),
    _flag("is_reserve"),
    sa.Column("class_name", sa.Text),
    sa.Column("probability", sa.Float),
    sa.Column("prediction_id", sa.Integer),
)

unreadable = sa.Table(
    "unreadable",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("task_id", sa.Integer, primary_key=True),
    _text("uri"),
    _text("reason"),
    _time("tried_at"),
)
