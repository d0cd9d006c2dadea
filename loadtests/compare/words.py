"""The words: better, same, worse, too few samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Word(StrEnum):
    """What became of an operation."""

    WORSE = "worse"
    FEW = "too few samples"
    BETTER = "better"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as a difference.

    It must be larger than chance at ``confidence`` (over all numbers of the comparison together),
    and larger than both ``ratio`` and ``seconds`` (for failures: ``failures``, of all calls).
    ``p50``, ``p95``, ``mean`` and ``calls`` are the least number of samples.  A number whose
    interval is so wide that neither a change by the factor ``blind_ratio`` nor one by
    ``blind_seconds`` would show rests on too little.  Operations with less than ``rare`` of all
    calls do not make the whole undecided.
    """

    ratio: float = 0.05
    seconds: float = 0.002
    failures: float = 0.01
    confidence: float = 0.95
    p50: int = 20
    p95: int = 200
    mean: int = 50
    calls: int = 20
    blind_ratio: float = 2.0
    blind_seconds: float = 0.05
    rare: float = 0.02
    draws: int = 1000

    def least(self, statistic: str) -> int:
        """The least number of answers for a statistic."""
        return {"p50": self.p50, "p95": self.p95, "mean": self.mean}[statistic]


@dataclass(frozen=True, slots=True)
class Difference:
    """One number of one operation, before and after: seconds, or for ``failed`` a share.

    ``low`` and ``high`` bound the true difference, ``ratio_low`` and ``ratio_high`` the ratio.
    ``apart`` is the ratio beyond the one that all operations share.
    """

    statistic: str
    word: Word
    before: float | None
    after: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    apart: float | None = None
    apart_low: float | None = None
    apart_high: float | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """One operation of both runs."""

    operation: str
    word: Word
    share: float
    samples_before: int
    samples_after: int
    differences: tuple[Difference, ...]


def word_of(numbers: Sequence[Difference]) -> Word:
    """The word for an operation with these numbers.

    One worse number makes it worse.  The median must be known; a tail too noisy to judge is said
    in its own row and leaves the word to the others.
    """
    words = [each.word for each in numbers]
    if Word.WORSE in words:
        return Word.WORSE
    if any(each.word is Word.FEW and each.statistic in ("p50", "failed") for each in numbers):
        return Word.FEW
    return Word.BETTER if Word.BETTER in words else Word.SAME


def overall(operations: Sequence[Compared], rules: Rules) -> tuple[Word, str]:
    """The word for the whole comparison, and why.

    One worse operation makes the whole worse.  Operations with too few samples leave it undecided
    unless they are rare.
    """
    by_word = {word: [each for each in operations if each.word is word] for word in Word}
    common = [each for each in by_word[Word.FEW] if each.share >= rules.rare]
    if by_word[Word.WORSE]:
        return Word.WORSE, f"worse: {_names(by_word[Word.WORSE])}"
    if common or len(by_word[Word.FEW]) == len(operations):
        few = common or operations
        return Word.FEW, f"too few samples: {_names(few) or 'no operation was called'}"
    if by_word[Word.BETTER]:
        return Word.BETTER, f"better: {_names(by_word[Word.BETTER])}"
    judged = len(operations) - len(by_word[Word.FEW])
    return Word.SAME, f"no difference in {judged} operations beyond chance and noise"


def _names(operations: Sequence[Compared]) -> str:
    return ", ".join(each.operation for each in operations)
