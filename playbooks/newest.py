"""The newest moment that the archive can bring back, and prove that it did.

Recovery to a moment is only believed when the log holds a commit after it: otherwise nobody
could tell a log that ends there from one that was cut.  So the newest moment is that of the
last commit but one; the loss measured from it is never too small.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from crmops.errors import CannotRun
from playbooks.catalogue import Manifest
from playbooks.stages.fetch import later_segments
from playbooks.wal import parse_lsn, segment_name

_COMMIT = re.compile(
    r"lsn: ([0-9A-F]+/[0-9A-F]+),.*desc: COMMIT (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC"
)
_SECONDS = 120.0


def newest_moment(manifest: Manifest, archive: Path, binaries: Path) -> datetime:
    """The newest moment after the backup's named instant that recovery can stop at.

    Raises CannotRun when the archive holds fewer than two commits after that instant.
    """
    names = [
        segment_name(manifest.timeline, parse_lsn(manifest.point_lsn), manifest.segment_bytes),
        *later_segments(manifest, archive),
    ]
    found: set[datetime] = set()
    for name in reversed(names):
        found |= {
            moment
            for lsn, moment in commits_of(archive / name, binaries)
            if lsn > parse_lsn(manifest.point_lsn) and moment > manifest.point_time
        }
        if len(found) > 1:
            return sorted(found)[-2]
    raise CannotRun(
        "the archive holds too little after the backup to roll forward to",
        hint="Run the drill without --to: it restores the backup's own instant.",
    )


def commits_of(segment: Path, binaries: Path) -> Iterator[tuple[int, datetime]]:
    """Place and moment (UTC) of every commit in a segment, in order.

    A segment ends in the middle of a record, which pg_waldump calls an error; what it printed
    before is right, so its exit code says nothing.  Raises CannotRun when it cannot be started.
    """
    command = [str(binaries / "pg_waldump"), "--rmgr=Transaction", str(segment)]
    try:
        done = subprocess.run(
            command, env={"TZ": "UTC", "LC_ALL": "C"}, cwd="/", stdin=subprocess.DEVNULL,
            capture_output=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotRun(f"pg_waldump cannot be run: {type(error).__name__}") from error
    for lsn, moment in _COMMIT.findall(done.stdout.decode("utf-8", "replace")):
        yield parse_lsn(lsn), datetime.fromisoformat(moment).replace(tzinfo=UTC)
