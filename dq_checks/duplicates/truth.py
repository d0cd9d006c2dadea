"""Labelled sets of our own making, hard negatives among them: what settings are held to.

Every set knows which records are the same.  Hard negatives are records that look the same and are
not: group and subsidiary, branch, people behind one switchboard, father and son, people of one
common name, twins in one house, firms in one tower.  They are a third of the records that are
planted beside others.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dq_checks.duplicates.truth_chinese import chinese_accounts, chinese_contacts
from dq_checks.duplicates.truth_latin import latin_accounts, latin_contacts

Row = dict[str, str]
Maker = Callable[[random.Random], Iterator[tuple[Row, list[Row], list[Row]]]]
"""Endless: an original, its spoilt copies, and others that look like it."""

MAKERS: Mapping[str, Maker] = {
    "contact-chinese": chinese_contacts,
    "account-chinese": chinese_accounts,
    "contact-latin": latin_contacts,
    "account-latin": latin_accounts,
}


@dataclass(frozen=True, slots=True)
class Labelled:
    """``rows`` with their headings; ``who[i]`` is the same number for rows that are the same."""

    rows: list[Row]
    who: list[int]

    def pairs(self) -> set[tuple[int, int]]:
        """The true pairs of 1-based rows."""
        members: dict[int, list[int]] = {}
        for row, who in enumerate(self.who, 1):
            members.setdefault(who, []).append(row)
        return {(a, b) for each in members.values() for a in each for b in each if a < b}

    def write(self, path: Path) -> None:
        """As CSV, without the truth."""
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)


def labelled(kind: str, rows: int, seed: int = 1) -> Labelled:
    """A set of about ``rows`` records of a kind such as ``contact-chinese``, shuffled."""
    rng = random.Random(seed)
    made: list[tuple[Row, int]] = []
    number = 0
    for original, copies, others in MAKERS[kind](rng):
        number += 1
        made.append((original, number))
        made += [(each, number) for each in copies]
        for each in others:
            number += 1
            made.append((each, number))
        if len(made) >= rows:
            break
    rng.shuffle(made)
    return Labelled([row for row, _ in made], [who for _, who in made])
