"""The history itself: begin, beat, finish; find; reap the killed; claim work."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from crmops.errors import HistoryError
from crmops.history import totals as tally
from crmops.history.artifacts import Artifacts
from crmops.history.engine import bring_up, make_engine
from crmops.history.owner import gone, me
from crmops.history.tables import MIGRATIONS, Migration, claims, from_us, runs, to_us
from crmops.history.upgrade import load_record
from crmops.record import Evidence, Finding, Kind, Measure, Run, Verdict, utc_now

FOREIGN_SILENCE = timedelta(minutes=2)
"""A run of another host that has not beaten for so long counts as killed."""


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run that is going on: its last sign of life and its measures so far."""

    run: Run
    beat_at: datetime
    measures: tuple[Measure, ...]


def open_history(
    url: str, artifacts: Path, *, migrations: tuple[Migration, ...] = MIGRATIONS
) -> History:
    """Open a history, creating or migrating it.

    Raises ConfigError for a bad address, HistoryError if the database cannot be used.
    """
    engine = make_engine(url)
    try:
        artifacts.mkdir(parents=True, exist_ok=True)
        bring_up(engine, migrations)
    except (DBAPIError, OSError) as error:
        engine.dispose()
        raise _refused(error) from error
    except HistoryError:
        engine.dispose()
        raise
    return History(engine, Artifacts(artifacts))


class History:
    """Every Run that was ever executed.  Safe for threads and for several processes."""

    def __init__(self, engine: sa.Engine, artifacts: Artifacts) -> None:
        self._engine = engine
        self._writer = engine.execution_options(writes=True)
        self.files = artifacts

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    # -- writing ---------------------------------------------------------------------------

    def begin(self, run: Run) -> Run:
        """Store an open run, so that even a killed one leaves a trace."""
        row = {**_columns(run), "owner": me(), "beat": to_us(utc_now())}
        with self._write() as connection:
            connection.execute(sa.insert(runs).values(**row))
        return run

    def beat(self, run_id: str, measures: Sequence[Measure] = ()) -> None:
        """A sign of life with the measures so far."""
        live = json.dumps([each.model_dump(mode="json") for each in measures])
        with self._write() as connection:
            connection.execute(
                sa.update(runs)
                .where(runs.c.id == run_id, runs.c.ended.is_(None))
                .values(beat=to_us(utc_now()), live=live)
            )

    def finish(self, run: Run) -> Run:
        """Store how an open run ended.  Raises HistoryError if it has ended already."""
        if run.ended is None:
            raise ValueError("a finished run needs its end")
        with self._write() as connection:
            done = connection.execute(
                sa.update(runs)
                .where(runs.c.id == run.id, runs.c.ended.is_(None))
                .values(**_columns(run), live="[]")
            )
            if done.rowcount != 1:
                raise HistoryError(f"run {run.id} is not open, so it cannot be ended")
            tally.add(connection, run)
        return run

    def record(self, run: Run) -> Run:
        """Store a run that has begun and ended, in one transaction."""
        if run.ended is None:
            raise ValueError("a recorded run needs its end")
        row = {**_columns(run), "owner": me(), "beat": to_us(run.ended)}
        with self._write() as connection:
            connection.execute(sa.insert(runs).values(**row))
            tally.add(connection, run)
        return run

    def attach(self, run_id: str, name: str, content: bytes | str | Path) -> Evidence:
        """Keep a file beside the history; the caller puts the evidence into the run."""
        return self.files.attach(run_id, name, content)

    def artifacts(self, run_id: str) -> Path:
        """The folder of a run's files."""
        return self.files.folder(run_id)

    # -- reading ---------------------------------------------------------------------------

    def get(self, run_id: str) -> Run | None:
        """One run by id, or None."""
        with self._read() as connection:
            body = connection.scalar(sa.select(runs.c.body).where(runs.c.id == run_id))
        return load_record(body) if body else None

    def find(
        self,
        kind: Kind | None = None,
        target: str | None = None,
        subject: str | None = None,
        *,
        since: datetime | None = None,
        finished: bool | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """Runs that fit, newest first."""
        query = sa.select(runs.c.body).order_by(runs.c.begun.desc(), runs.c.id.desc()).limit(limit)
        if kind is not None:
            query = query.where(runs.c.kind == kind.value)
        if target is not None:
            query = query.where(runs.c.target == target)
        if subject is not None:
            query = query.where(runs.c.subject == subject)
        if since is not None:
            query = query.where(runs.c.begun >= to_us(since))
        if finished is not None:
            query = query.where(runs.c.ended.is_not(None) if finished else runs.c.ended.is_(None))
        with self._read() as connection:
            return [load_record(body) for body in connection.scalars(query)]

    def latest(
        self, kind: Kind, target: str | None = None, subject: str | None = None
    ) -> Run | None:
        """The newest ended run that fits, or None."""
        found = self.find(kind, target, subject, finished=True, limit=1)
        return found[0] if found else None

    def live(self) -> list[LiveRun]:
        """Runs that are going on now."""
        query = sa.select(runs.c.body, runs.c.beat, runs.c.live).where(runs.c.ended.is_(None))
        with self._read() as connection:
            return [
                LiveRun(
                    load_record(row.body),
                    from_us(row.beat),
                    tuple(Measure.model_validate(each) for each in json.loads(row.live)),
                )
                for row in connection.execute(query)
            ]

    def totals(self) -> list[tally.Total]:
        """Counts per kind, target, subject and verdict, pruned runs included."""
        with self._read() as connection:
            return tally.read_totals(connection)

    def histograms(self) -> list[tally.Histogram]:
        """Durations of probes and their steps, pruned runs included."""
        with self._read() as connection:
            return tally.read_histograms(connection)

    # -- keeping house -----------------------------------------------------------------------

    def reap(self) -> list[Run]:
        """End the runs of processes that were killed, as ``error``, and return them."""
        query = sa.select(runs.c.body, runs.c.owner, runs.c.beat).where(runs.c.ended.is_(None))
        with self._read() as connection:
            rows = list(connection.execute(query))
        reaped = []
        for row in rows:
            beat = from_us(row.beat)
            dead = gone(row.owner)
            if dead or (dead is None and utc_now() - beat > FOREIGN_SILENCE):
                ended = self._bury(load_record(row.body), beat)
                reaped += [ended] if ended else []
        return reaped

    def _bury(self, run: Run, beat: datetime) -> Run | None:
        finding = Finding(
            title="the process was killed",
            detail=f"last sign of life {beat.isoformat(timespec='seconds')}",
            severity="critical",
        )
        dead = run.with_(
            ended=max(beat, run.begun),
            verdict=Verdict.ERROR,
            reason="killed before it could end",
            findings=(*run.findings, finding),
        )
        try:
            return self.finish(dead)
        except HistoryError:  # somebody else was faster
            return None

    def prune(self, before: datetime) -> int:
        """Forget ended runs that began before a moment, with their files; totals stay.

        The newest ended run of each kind, target and subject is kept, whatever its age: it is
        what a reader would look for.  Returns how many were forgotten.
        """
        newest = (
            sa.select(sa.func.max(runs.c.begun))
            .where(runs.c.ended.is_not(None))
            .group_by(runs.c.kind, runs.c.target, runs.c.subject)
        )
        query = sa.select(runs.c.id).where(
            runs.c.ended.is_not(None),
            runs.c.begun < to_us(before),
            runs.c.begun.not_in(newest),
        )
        with self._write() as connection:
            ids = list(connection.scalars(query))
            for first in range(0, len(ids), 500):
                connection.execute(sa.delete(runs).where(runs.c.id.in_(ids[first : first + 500])))
        for run_id in ids:
            self.files.forget(run_id)
        return len(ids)

    def claim(self, name: str, ttl: timedelta, owner: str = "") -> bool:
        """Take a piece of work for a while; False if somebody else holds it.

        A claim of the same owner is renewed.  Done by one conditional UPDATE, so that two
        schedulers are safe.
        """
        mine, now = owner or me(), utc_now()
        until = to_us(now + ttl)
        ours = {"owner": mine, "until": until}
        with self._write() as connection:
            if tally.insert_new(connection, claims, name=name, **ours):
                return True
            free = sa.or_(claims.c.until < to_us(now), claims.c.owner == mine)
            held = connection.scalar(sa.select(claims.c.owner).where(claims.c.name == name))
            if held is not None and gone(held) is True:
                free = sa.or_(free, claims.c.owner == held)
            taken = connection.execute(
                sa.update(claims).where(claims.c.name == name, free).values(**ours)
            )
            return taken.rowcount == 1

    def release(self, name: str, owner: str = "") -> None:
        """Give a claim back, if it is still held by this owner."""
        mine = owner or me()
        with self._write() as connection:
            connection.execute(
                sa.delete(claims).where(claims.c.name == name, claims.c.owner == mine)
            )

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        try:
            with self._writer.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise _refused(error) from error

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise _refused(error) from error


def _columns(run: Run) -> dict[str, object]:
    return {
        "id": run.id,
        "kind": run.kind.value,
        "target": run.target,
        "subject": run.subject,
        "begun": to_us(run.begun),
        "ended": to_us(run.ended) if run.ended else None,
        "verdict": run.verdict.value,
        "body": run.model_dump_json(by_alias=True),
    }


def _refused(error: Exception) -> HistoryError:
    cause = getattr(error, "orig", None) or error
    return HistoryError(
        f"the history cannot be used: {str(cause).strip().splitlines()[0]}",
        hint="Look at history.url in the configuration, the free disk space and the permissions.",
    )
