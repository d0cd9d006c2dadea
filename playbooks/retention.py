"""Which backups are kept: the newest, and the newest of each of the last weeks and months."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from playbooks.catalogue import Catalogue, Manifest
from playbooks.settings import Settings


@dataclass(frozen=True, slots=True)
class Kept:
    """A backup as retention sees it.  ``good`` is one whose contents are known and enough."""

    id: str
    taken: datetime
    good: bool


def as_kept(manifest: Manifest, settings: Settings) -> Kept:
    """A sealed backup was verified; one of an emptied database is still no good one."""
    rows = manifest.contents.rows if manifest.contents is not None else 0
    return Kept(manifest.id, manifest.ended, rows >= settings.minimum_rows)


def going(catalogue: Catalogue, settings: Settings) -> list[str]:
    """The backups that may go now, oldest first.

    Damaged ones are left alone, and so is what a backup that stays rests upon.
    """
    manifests = catalogue.manifests()
    known = [as_kept(each, settings) for each in manifests]
    leaving = to_remove(known, settings.keep, settings.keep_weekly, settings.keep_monthly)
    needed = {parent for each in manifests if each.id not in leaving for parent in each.parents}
    return [each for each in leaving if each not in needed]


def to_remove(backups: Sequence[Kept], newest: int, weekly: int, monthly: int) -> list[str]:
    """Ids that may go, oldest first.

    Good backups fill the places; a bad one never takes the place of a good one and goes when
    ``newest`` younger backups of any kind exist.  The newest good backup always stays.
    """
    ordered = sorted(backups, key=lambda each: (each.taken, each.id), reverse=True)
    good = [each for each in ordered if each.good]
    staying = {each.id for each in good[: max(newest, 1)]}
    staying |= _newest_of(good, lambda each: each.taken.isocalendar()[:2], weekly)
    staying |= _newest_of(good, lambda each: (each.taken.year, each.taken.month), monthly)
    staying |= {each.id for each in ordered[:newest] if not each.good}
    return [each.id for each in reversed(ordered) if each.id not in staying]


def _newest_of(
    good: Iterable[Kept], period: Callable[[Kept], tuple[int, ...]], count: int
) -> set[str]:
    """The newest of each of the last ``count`` periods in which there was a backup."""
    found: dict[tuple[int, ...], str] = {}
    for each in good:
        found.setdefault(period(each), each.id)
    return set(list(found.values())[:count])
