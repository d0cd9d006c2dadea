"""Names, streets and words, made once by Faker and combined by the table afterwards.

Faker makes about ten thousand values a second: right for a pool of hundreds, far too slow for a
million rows.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from refcrm.seed import words


@dataclass(frozen=True, slots=True)
class Pools:
    """Values to draw from; pairs are (as written, as in an e-mail address)."""

    surnames: tuple[tuple[str, str], ...]
    given: tuple[tuple[str, str], ...]
    first_names: tuple[tuple[str, str], ...]
    last_names: tuple[tuple[str, str], ...]
    streets: tuple[str, ...]
    english_streets: tuple[str, ...]


def _distinct(values: list[str]) -> tuple[str, ...]:
    """Without repetition, in the order made, without anything that COPY would need escaped."""
    return tuple(dict.fromkeys(value for value in values if "\\" not in value and value.strip()))


def _latin(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name, name.lower()) for name in names if name.isascii() and name.isalpha())


def _skewed(pairs: tuple[tuple[str, str], ...], slots: int = 1024) -> tuple[tuple[str, str], ...]:
    """The pairs repeated so that the first are drawn far more often, as surnames are."""
    edges = list(accumulate(1.0 / (rank + 6) for rank in range(len(pairs))))
    return tuple(
        pairs[bisect_right(edges, (slot + 0.5) / slots * edges[-1])] for slot in range(slots)
    )


def make_pools(seed: int) -> Pools:
    """Pools that depend on the seed (and on Faker's version) alone; takes about 0.3 s."""
    from faker import Faker

    english, chinese = Faker("en_US"), Faker("zh_CN")
    english.seed_instance(seed)
    chinese.seed_instance(seed)
    rng = random.Random(f"refcrm {seed} pools")
    given = list(words.GIVEN)
    rng.shuffle(given)
    return Pools(
        surnames=_skewed(words.SURNAMES),
        given=tuple(given),
        first_names=_latin(_distinct([english.first_name() for _ in range(700)])),
        last_names=_latin(_distinct([english.last_name() for _ in range(1500)])),
        streets=_distinct([chinese.street_name() for _ in range(600)]),
        english_streets=_distinct([english.street_name() for _ in range(400)]),
    )
