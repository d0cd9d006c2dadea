"""What people decided about records of worklists, remembered across audits.

A decision changes what is handed out, never a score: for that there are waivers.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from crmops.config.reader import nearest
from crmops.errors import CannotRun, UsageError
from dq_checks.files import reading
from dq_checks.suite import Suite

Word = Literal["wontfix", "fixed", "wrong-rule"]
WORDS: tuple[str, ...] = get_args(Word)
COLUMNS = ("decision", "reason", "decided_by")
"""The columns of a worklist that people fill in."""

_NEEDED = ("suite", "rule", "record", "decision", "reason")
_LONGEST = 500


class Decision(BaseModel):
    """One word about one record of one rule, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    suite: str
    rule: str
    record: str
    decision: Word
    reason: str
    by: str = ""
    at: AwareDatetime

    @property
    def about(self) -> tuple[str, str, str, str]:
        """What it decides; a later decision about the same takes its place."""
        return self.target, self.suite, self.rule, self.record

    def says(self, other: Decision | None) -> bool:
        """Whether it says the same as another one."""
        if other is None or self.about != other.about:
            return False
        return (self.decision, self.reason, self.by) == (other.decision, other.reason, other.by)


class Decisions:
    """The decisions kept below the state directory: one JSON text a line, the newest last."""

    def __init__(self, state: Path) -> None:
        self.path = state / "dq" / "decisions.jsonl"

    def read(self) -> tuple[Decision, ...]:
        """All of them, the newest about each record only.  Raises CannotRun if the file is bad."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError) as error:
            raise self._refused(error) from None
        newest: dict[tuple[str, ...], Decision] = {}
        for number, line in enumerate(text.splitlines(), 1):
            try:
                found = Decision.model_validate_json(line)
            except ValidationError:
                raise CannotRun(
                    f"{self.path}:{number}: no decision",
                    hint="Take the line out, or the file from a backup.",
                ) from None
            newest[found.about] = found
        return tuple(newest.values())

    def add(self, decisions: Sequence[Decision]) -> int:
        """Keep those that say something new, all or none, and return their number."""
        try:
            with self._alone():
                known = {each.about: each for each in self.read()}
                new = [each for each in decisions if not each.says(known.get(each.about))]
                if new:
                    known.update((each.about, each) for each in new)
                    self._write(known.values())
                return len(new)
        except OSError as error:
            raise self._refused(error) from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, decisions: Iterable[Decision]) -> None:
        made = self.path.with_suffix(".new")
        with made.open("w", encoding="utf-8") as out:
            out.writelines(each.model_dump_json() + "\n" for each in decisions)
            out.flush()
            os.fsync(out.fileno())
        made.replace(self.path)

    def _refused(self, error: Exception) -> CannotRun:
        reason = str(getattr(error, "strerror", None) or "no text in UTF-8").lower()
        return CannotRun(
            f"{self.path} cannot be used: {reason}", hint="Look at the state directory."
        )


def read_file(
    path: Path, target: str, suites: dict[str, Suite], now: datetime
) -> tuple[list[Decision], int]:
    """The decisions in a worklist that came back, and how many rows are left open.

    Raises UsageError naming the data row of whatever is wrong; nothing is then kept.
    """
    with reading(path) as records:
        missing = [each for each in _NEEDED if each not in records.columns]
        if missing:
            raise UsageError(
                f"{path.name} has no column {missing[0]!r}",
                hint="Fill in the columns of a worklist: `crmops dq worklist SUITE --out FILE`.",
            )
        found: dict[tuple[str, ...], Decision] = {}
        left = 0
        for number, row in enumerate(records.rows, 1):
            cells = dict(zip(records.columns, (each.strip() for each in row), strict=True))
            if not cells["decision"]:
                left += 1
                continue
            made = _decision(cells, f"{path.name}: data row {number}", target, suites, now)
            if made.about in found and not made.says(found[made.about]):
                raise UsageError(
                    f"{path.name}: data row {number} decides otherwise than a row before",
                    hint="Keep one of the rows about a record and rule.",
                )
            found[made.about] = made
    return list(found.values()), left


def _decision(
    cells: dict[str, str], where: str, target: str, suites: dict[str, Suite], now: datetime
) -> Decision:
    word = cells["decision"].lower()
    if word not in WORDS:
        guess = nearest(word, WORDS)
        meant = f"Did you mean {guess!r}? " if guess else ""
        raise UsageError(
            f"{where}: {cells['decision']!r} is no decision",
            hint=f"{meant}There are: {', '.join(WORDS)}.",
        )
    suite = suites.get(cells["suite"])
    if suite is None or cells["rule"] not in {each.id for each in suite.rules}:
        raise UsageError(
            f"{where}: suite {cells['suite']!r} has no rule {cells['rule']!r}",
            hint="`crmops dq list` names the suites and rules.",
        )
    if not cells["record"]:
        raise UsageError(f"{where}: no record is named", hint="Leave the worklist's keys in it.")
    if not 0 < len(cells["reason"]) <= _LONGEST:
        raise UsageError(
            f"{where}: a decision needs a reason, of at most {_LONGEST} characters",
            hint="Say in the column reason why.",
        )
    return Decision.model_validate(
        {
            "target": target, "suite": suite.name, "rule": cells["rule"],
            "record": bare(cells["record"]), "decision": word, "reason": cells["reason"],
            "by": cells.get("decided_by", ""), "at": now,
        }
    )  # fmt: skip


def bare(key: str) -> str:
    """A record's key without the mark that keeps spreadsheets from taking it for a formula."""
    return key.removeprefix("'")
