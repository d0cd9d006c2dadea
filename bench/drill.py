"""How long backups and drills take, beside a raw copy of the same bytes in the same run.

A database of about a gigabyte is made by SQL: rows like a CRM's, whose texts do not compress to
nothing.  In each round it is copied raw, backed up, copied raw and restored by a drill, in turning
order; ratios are of the medians.  "Backup" is the stage that copies the running database,
"restore" the stage that brings the copy to where it is started.  What a drill does besides
(verifying, recovering, digests, amcheck) is shown by stage, and what is left of its time after
all stages is its overhead: Ansible and the starting of processes.

Recovery is measured apart: the log of some work after the backup is replayed with and without
prefetching.  pgBackRest and Barman are measured where they and a PostgreSQL that they know are
found, on a server of that version with the same rows.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench._drill_sides import SIDES, found_sides, server  # noqa: E402
from crmops.history import open_history  # noqa: E402
from crmops.record import Run, Verdict  # noqa: E402
from crmops.secret import Secret  # noqa: E402
from crmops.target import DatabaseAccess, Target  # noqa: E402
from playbooks.run import Room, back_up, drill, drill_forward  # noqa: E402
from playbooks.settings import Settings  # noqa: E402
from playbooks.tree import size_of  # noqa: E402

RATIO, OVERHEAD, DIGEST = 1.5, 30.0, 8.0
ROW_BYTES = 330
SHARES = {"contacts": 0.35, "deals": 0.25, "activities": 0.25, "cases": 0.15}
TABLE = """
create table {name} as
select i as id, md5(i::text) || md5((i + 1)::text) as name, md5(i::text) || '@example.com' as email,
  (i::bigint * 7919) % 1000 as owner_id, now() - (i % 1000) * interval '1 hour' as updated_at,
  jsonb_build_object('note', md5((i + 2)::text) || md5((i + 3)::text), 'stage', i % 7) as details
from generate_series(1, {rows}) as i
"""


@dataclass
class Clock:
    """Seconds of each thing that was timed, and how busy the machine was meanwhile."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    busy: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        psutil.cpu_percent()
        began = time.perf_counter()
        yield
        self.note(name, time.perf_counter() - began)
        self.busy.setdefault(name, []).append(psutil.cpu_percent())

    def note(self, name: str, seconds: float) -> None:
        self.seconds.setdefault(name, []).append(seconds)
        print(f"   {name}: {seconds:.2f} s", file=sys.stderr, flush=True)

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def lines(self) -> Iterator[str]:
        for name, found in self.seconds.items():
            cpu = self.busy.get(name)
            said = f", processors {statistics.median(cpu):.0f} % busy" if cpu else ""
            yield f"{name:34} median {statistics.median(found):6.2f} s of {len(found)}{said}"


@contextmanager
def source(folder: Path) -> Iterator[DatabaseAccess]:
    """A PostgreSQL of our own that archives its log."""
    command = [sys.executable, "-m", "refcrm", "cluster"]
    where = ["--dir", str(folder / "pg")]
    started = subprocess.run(
        [*command, "start", *where], check=True, capture_output=True, text=True, cwd=ROOT
    )
    found = json.loads(started.stdout)
    try:
        yield DatabaseAccess(
            url=Secret(found["admin_database_url"]),
            archive_directory=str(folder / "pg" / "archive"),
            data_directory=str(folder / "pg" / "pgdata"),
        )
    finally:
        subprocess.run([*command, "stop", *where], check=True, capture_output=True, cwd=ROOT)


def fill(address: str, megabytes: int) -> int:
    """Make the rows; bytes of the database."""
    rows = megabytes * 1_000_000 // ROW_BYTES
    with psycopg.connect(address, autocommit=True) as connection:
        for name, share in SHARES.items():
            connection.execute(TABLE.format(name=name, rows=int(rows * share)).encode())
            connection.execute(f"alter table {name} add primary key (id)".encode())
        connection.execute(b"vacuum (analyze, freeze)")
        connection.execute(b"checkpoint")
        row = connection.execute(b"select pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


def work(access: DatabaseAccess, megabytes: int) -> None:
    """Write about so much log: rows are changed all over the tables."""
    share = max(megabytes // 10, 1)
    with psycopg.connect(access.url.reveal(), autocommit=True) as connection:
        for name in SHARES:
            query = f"update {name} set owner_id = owner_id + 1 where id % 100 < {share}"
            connection.execute(query.encode())
        for _ in range(2):
            connection.execute(b"select pg_current_xact_id()")
            row = connection.execute(b"select pg_walfile_name(pg_switch_wal())").fetchone()
            archived = Path(access.archive_directory, str(row[0] if row else ""))
            until = time.monotonic() + 120
            while not archived.exists():
                assert time.monotonic() < until, "the log was not archived"
                time.sleep(0.1)


def copy_raw(data: Path, to: Path, *, sync: bool) -> None:
    """What the machine needs for the bytes alone."""
    subprocess.run(["cp", "-r", str(data), str(to)], check=True)
    if sync:
        subprocess.run(["sync", "-f", str(to)], check=True)


def stages_of(room: Room, run: Run) -> dict[str, dict[str, Any]]:
    """The stages of a run, by name, from its evidence."""
    path = room.state / "artifacts" / run.id / "evidence.json"
    found = json.loads(path.read_text(encoding="utf-8"))["evidence"]["stages"]
    return {each["name"]: each for each in found}


def passed(run: Run) -> Run:
    """A run that did not pass measured nothing."""
    if run.verdict is not Verdict.PASS:
        raise SystemExit(f"{run.kind} ended {run.verdict}: {run.reason}")
    return run


def a_backup(room: Room, clock: Clock, name: str) -> Run:
    with clock.time(f"{name}: backup, whole run"):
        run = passed(back_up(room))
    stages = stages_of(room, run)
    clock.note(f"{name}: backup, copying", stages["base_backup"]["seconds"])
    for each in ("verify_files", "read_contents", "wal_archive", "seal"):
        clock.note(f"{name}: backup, {each}", stages[each]["seconds"])
    return run


def a_drill(room: Room, clock: Clock, name: str) -> Run:
    with clock.time(f"{name}: drill, whole run"):
        run = passed(drill(room))
    stages = stages_of(room, run)
    for each in ("fetch", "verify_backup", "recover", "compare", "amcheck", "smoke"):
        clock.note(f"{name}: drill, {each}", stages[each]["seconds"])
    database = sum(each["seconds"] for name, each in stages.items() if name != "configure")
    whole = clock.seconds[f"{name}: drill, whole run"][-1]
    clock.note(f"{name}: drill, overhead", whole - database)
    return run


def rounds(room: Room, clock: Clock, folder: Path, name: str, count: int) -> Run:
    """Backups and drills between raw copies, in turning order."""
    newest = a_backup(room, Clock(), name)  # the first one warms everything up
    raw = folder / "raw"

    def raw_copy(kind: str) -> Callable[[], object]:
        def copy() -> None:
            data = room.catalogue.place(newest.id) / "data"
            with clock.time(f"{name}: raw copy {kind}"):
                copy_raw(data, raw, sync=kind == "synced")
            shutil.rmtree(raw)

        return copy

    for number in range(count):
        pairs: list[list[Callable[[], object]]] = [
            [raw_copy("synced"), lambda: a_backup(room, clock, name)],
            [raw_copy("unsynced"), lambda: a_drill(room, clock, name)],
        ]
        for pair in pairs:
            for step in pair if number % 2 == 0 else reversed(pair):
                found = step()
                if isinstance(found, Run) and found.kind == "backup":
                    newest = found
    return newest


def prefetching(room: Room, clock: Clock, count: int) -> None:
    """Replay the same log with and without prefetching, in turn."""
    for number in range(count * 2):
        value = ("try", "off")[(number + number // 2) % 2]
        settings = room.settings.model_copy(update={"server": {"recovery_prefetch": value}})
        one = Room(room.target, settings, room.history, room.state)
        run = passed(drill_forward(one))
        advance = stages_of(room, run)["advance"]
        clock.note(f"recovery, prefetch {value}", advance["facts"]["recovery_seconds"])


def beside(folder: Path, clock: Clock, megabytes: int, count: int) -> None:
    """The same rows, fewer of them, on a PostgreSQL that the other programs know."""
    for side in found_sides():
        name = f"{side} on the system's server"
        with server(side, folder / side) as target:
            access = target.database
            assert access is not None
            fill(access.url.reveal(), megabytes)
            room = a_room(folder / side, access, target)
            for number in range(count + 1):
                timed = clock if number else Clock()  # the first one warms everything up
                with timed.time(f"{name}: raw copy"):
                    copy_raw(Path(access.data_directory), folder / "raw", sync=True)
                shutil.rmtree(folder / "raw")
                a_backup(room, timed, name)
                a_drill(room, timed, name)
            room.history.close()


def main() -> int:
    """Measure and print; 1 when a target was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--beside", type=int, default=250, help="megabytes for each other program")
    parser.add_argument("--log", type=int, default=200, help="megabytes of log to replay, about")
    options = parser.parse_args()
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="bench-drill-", dir="/tmp") as place:
        folder = Path(place)
        folder.chmod(0o755)
        with source(folder) as access:
            size = fill(access.url.reveal(), options.megabytes)
            room = a_room(folder, access)
            newest = rounds(room, clock, folder, "crmops", options.rounds)
            copied = size_of(room.catalogue.place(newest.id) / "data")
            work(access, options.log)
            prefetching(room, clock, max(options.rounds - 1, 1))
            room.history.close()
        if options.beside:
            beside(folder, clock, options.beside, options.rounds)
    for line in clock.lines():
        print(line)
    print(f"{size / 1e9:.2f} GB of database, {copied / 1e9:.2f} GB copied; load of the machine "
          f"{os.getloadavg()[1]:.1f} on {os.cpu_count()} processors")  # fmt: skip
    return judged(clock, size / 1e9)


def a_room(folder: Path, access: DatabaseAccess, target: Target | None = None) -> Room:
    state = folder / "state"
    state.mkdir()
    if target is None:
        target = Target(name="crm", connector="refcrm", url="http://127.0.0.1:9", database=access)
    history = open_history(f"sqlite:///{state / 'history.db'}", state / "artifacts")
    settings = Settings(keep=1, scratch=str(folder), rto_objective=36000, rpo_objective=36000)
    return Room(target, settings, history, state)


def judged(clock: Clock, gigabytes: float) -> int:
    restore = clock.median("crmops: drill, fetch")
    ratios = {
        "backup_to_raw": clock.median("crmops: backup, copying")
        / clock.median("crmops: raw copy synced"),
        "restore_to_raw": restore / clock.median("crmops: raw copy unsynced"),
        "drill_overhead_seconds": clock.median("crmops: drill, overhead"),
        "digest_seconds_per_gb": clock.median("crmops: drill, compare") / gigabytes,
    }
    targets = dict(zip(ratios, (RATIO, RATIO, OVERHEAD, DIGEST), strict=True))
    met = all(each <= targets[name] for name, each in ratios.items())
    shown = {name: round(each, 2) for name, each in ratios.items()}
    off, on = (clock.median(f"recovery, prefetch {each}") for each in ("off", "try"))
    shown["prefetch_off_to_on"] = round(off / on, 2)
    for side in SIDES:
        name = f"{side} on the system's server"
        if f"{name}: raw copy" in clock.seconds:
            raw = clock.median(f"{name}: raw copy")
            for what, stage in (("backup", "backup, copying"), ("restore", "drill, fetch")):
                shown[f"{side}_{what}_to_raw"] = round(clock.median(f"{name}: {stage}") / raw, 2)
    print(json.dumps({"bench": "drill", "ratios": shown, "targets": targets, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
