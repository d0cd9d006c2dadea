"""The tables of the history and how they came to be.

Times are whole microseconds since 1970, UTC: they sort and compare alike in every database.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import sqlalchemy as sa

metadata = sa.MetaData()

meta = sa.Table(
    "crmops_meta",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
runs = sa.Table(
    "crmops_runs",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("begun", sa.BigInteger, nullable=False),
    sa.Column("ended", sa.BigInteger),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("beat", sa.BigInteger, nullable=False),
    sa.Column("live", sa.Text, nullable=False, server_default="[]"),
    sa.Index("crmops_runs_what", "kind", "target", "subject", "begun"),
    sa.Index("crmops_runs_begun", "begun"),
)
totals = sa.Table(
    "crmops_totals",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("verdict", sa.Text, primary_key=True),
    sa.Column("runs", sa.BigInteger, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("last_ended", sa.BigInteger, nullable=False),
)
buckets = sa.Table(
    "crmops_buckets",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("measure", sa.Text, primary_key=True),
    sa.Column("bound", sa.Float, primary_key=True),
    sa.Column("samples", sa.BigInteger, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
)
claims = sa.Table(
    "crmops_claims",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
)

Migration = Callable[[sa.Connection], None]


def _first(connection: sa.Connection) -> None:
    metadata.create_all(connection)


MIGRATIONS: tuple[Migration, ...] = (_first,)
"""Step N brings a history of schema N to N + 1.  Steps are only ever added."""


def to_us(moment: datetime) -> int:
    """Whole microseconds since 1970."""
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def from_us(value: int) -> datetime:
    """The aware UTC moment of a stored number."""
    return datetime.fromtimestamp(value // 1_000_000, UTC).replace(microsecond=value % 1_000_000)
