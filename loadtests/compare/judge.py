"""Judges two runs, operation by operation."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

from loadtests.buckets import Buckets
from loadtests.compare.correlation import Clumping, clumping
from loadtests.compare.noise import ALL, Noise, Number, Sample, common, learn, shared
from loadtests.compare.runs import Load, Operation
from loadtests.compare.statistics import STATISTICS, Estimate, Histogram, estimate
from loadtests.compare.words import Compared, Difference, Rules, Word, word_of

NOTHING = Operation(Buckets(), 0, 0)


@dataclass(frozen=True, slots=True)
class Shift:
    """A change of a logarithm, and how far on either side of it the true one may lie."""

    centre: float
    half: float


@dataclass(frozen=True, slots=True)
class Side:
    """A run and how its calls clump; its estimates are the same each time."""

    load: Load
    clumps: Clumping
    calls: int

    @classmethod
    def of(cls, load: Load) -> Side:
        """A run, looked at."""
        calls = sum(each.calls for each in load.operations.values())
        return cls(load, clumping(load.seconds), calls)

    def operation(self, name: str) -> Operation:
        """What was measured of an operation, nothing at all perhaps."""
        return self.load.operations.get(name, NOTHING)

    def share(self, operation: str) -> float:
        """Share of all calls that an operation has."""
        return self.operation(operation).calls / self.calls if self.calls else 0.0

    def estimate(self, operation: str, statistic: str, draws: int) -> Estimate | None:
        """One number of the run, or None if nothing was counted."""
        rng = random.Random(f"{self.load.run.id}/{operation}/{statistic}")
        effect = self.clumps.effect(statistic, self.share(operation))
        histogram = Histogram(self.operation(operation).buckets)
        return estimate(histogram, statistic, effect, rng, draws)


def noise_of(sides: Iterable[Side], rules: Rules) -> Noise:
    """The run-to-run noise that earlier runs show."""
    return learn([numbers(side, rules, rules.draws // 5) for side in sides])


def numbers(side: Side, rules: Rules, draws: int) -> dict[Number, Sample]:
    """Every number of a run that rests on enough samples, as a logarithm."""
    found = {}
    for operation in sorted(side.load.operations):
        for statistic in STATISTICS:
            made = side.estimate(operation, statistic, draws)
            if made is not None and made.observed >= rules.least(statistic):
                found[operation, statistic] = (math.log(made.value), made.log_error)
    return found


class Judge:
    """Sets run B against run A by some rules, given the noise between runs."""

    def __init__(self, a: Side, b: Side, noise: Noise, rules: Rules) -> None:
        self._a, self._b, self._noise, self._rules = a, b, noise, rules
        one, two = (numbers(side, rules, rules.draws) for side in (a, b))
        both = shared((one, two))
        self._one, self._two = ({**each, **common(each, both)} for each in (one, two))
        names = set(a.load.operations) | set(b.load.operations)
        self._names = sorted(names, key=lambda each: (-a.share(each), each))
        # Standard errors on either side.  The chance of error is shared out over all numbers
        # (Bonferroni), so that the comparison as a whole cries wolf once in twenty times at most;
        # half of it is for what all operations share, which would drown among them.
        self._width = _width(rules.confidence, len(names) * (len(STATISTICS) + 1))
        self._width_of_all = _width(rules.confidence, len(STATISTICS))

    def compare(self) -> list[Compared]:
        """Every operation of both runs, those with the most calls first, and all of them as one."""
        found = [self._operation(name) for name in self._names]
        together = tuple(
            self._time(ALL, statistic)
            for statistic in STATISTICS
            if (ALL, statistic) in self._one and (ALL, statistic) in self._two
        )
        if together:
            calls = (sum(each.samples_before for each in found),
                     sum(each.samples_after for each in found))  # fmt: skip
            found.append(Compared(ALL, word_of(together), 1.0, *calls, together))
        return found

    def _operation(self, name: str) -> Compared:
        found = (*self._times(name), self._failures(name))
        return Compared(
            operation=name,
            word=word_of(found),
            share=max(self._a.share(name), self._b.share(name)),
            samples_before=self._a.operation(name).buckets.count,
            samples_after=self._b.operation(name).buckets.count,
            differences=found,
        )

    def _times(self, name: str) -> Iterator[Difference]:
        """The statistics for which both runs have answers enough; the median always."""
        for statistic in STATISTICS:
            if (name, statistic) in self._one and (name, statistic) in self._two:
                yield self._time(name, statistic)
            elif statistic == "p50":
                before, after = (
                    each.operation(name).buckets.percentile(0.5) for each in (self._a, self._b)
                )
                yield Difference(statistic, Word.FEW, before, after)

    def _time(self, name: str, statistic: str) -> Difference:
        one, two = self._one[name, statistic], self._two[name, statistic]
        before, after = math.exp(one[0]), math.exp(two[0])
        width = self._width_of_all if name == ALL else self._width
        noise = self._noise.of(name, statistic, width)
        errors = [math.hypot(error, noise) for _, error in (one, two)]
        whole = Shift(two[0] - one[0], width * math.hypot(*errors))
        apart = self._apart(name, statistic)
        spread = width * math.hypot(before * errors[0], after * errors[1])
        gap = after - before
        return Difference(
            statistic=statistic,
            word=self._word(whole, apart, gap, before),
            before=before,
            after=after,
            difference=gap,
            low=gap - spread,
            high=gap + spread,
            ratio=math.exp(whole.centre),
            ratio_low=math.exp(whole.centre - whole.half),
            ratio_high=math.exp(whole.centre + whole.half),
            apart=math.exp(apart.centre) if apart else None,
            apart_low=math.exp(apart.centre - apart.half) if apart else None,
            apart_high=math.exp(apart.centre + apart.half) if apart else None,
        )

    def _apart(self, name: str, statistic: str) -> Shift | None:
        """The change beyond what all operations share; None if nobody can tell."""
        key, every = (name, statistic), (ALL, statistic)
        if name == ALL or every not in self._one or every not in self._two:
            return None
        centre = self._two[key][0] - self._one[key][0]
        centre -= self._two[every][0] - self._one[every][0]
        noise = self._noise.of_its_own(name, statistic, self._width)
        errors = [table[each][1] for table in (self._one, self._two) for each in (key, every)]
        return Shift(centre, self._width * math.hypot(*errors, noise, noise))

    def _word(self, whole: Shift, apart: Shift | None, gap: float, before: float) -> Word:
        """A change must be large enough, and beyond chance as a whole or apart from the rest."""
        shifts = [whole] if apart is None else [whole, apart]
        # What is the operation's own must be large by itself, not only with what all share.
        gaps = [gap, *((before + gap) * -math.expm1(-each.centre) for each in shifts[1:])]
        for shift, size in zip(shifts, gaps, strict=True):
            beyond = abs(shift.centre) > shift.half
            if beyond and self._large(gap, whole) and self._large(size, shift):
                return Word.WORSE if gap > 0 else Word.BETTER
        rules = self._rules
        half = min(each.half for each in shifts)
        unseen = before * math.expm1(half)
        blind = half > math.log(rules.blind_ratio) and unseen > rules.blind_seconds
        return Word.FEW if blind else Word.SAME

    def _large(self, gap: float, shift: Shift) -> bool:
        """Whether a change is large enough to matter, and its two measures point one way."""
        least = math.log1p(self._rules.ratio)
        same_way = (gap > 0) == (shift.centre > 0)
        return same_way and abs(gap) >= self._rules.seconds and abs(shift.centre) >= least

    def _failures(self, name: str) -> Difference:
        """Calls that failed or were throttled, of all: quick failures must not pass for speed."""
        one, two = self._a.operation(name), self._b.operation(name)
        before, after = (each.failed / each.calls if each.calls else None for each in (one, two))
        few = min(one.calls, two.calls) < self._rules.calls
        if before is None or after is None or few:
            return Difference("failed", Word.FEW, before, after)
        sides = (self._a, self._b)
        effect = max(side.clumps.effect("p95", side.share(name)) for side in sides)
        low, high = newcombe(one, two, self._width, effect)
        gap, least = after - before, self._rules.failures
        word = Word.SAME
        if low > 0 and gap >= least:
            word = Word.WORSE
        elif high < 0 and -gap >= least:
            word = Word.BETTER
        return Difference("failed", word, before, after, gap, low, high)


def _width(confidence: float, numbers: int) -> float:
    """Standard errors on either side of each of so many numbers; they have half of the error."""
    return NormalDist().inv_cdf(1 - (1 - confidence) / (4 * max(numbers, 1)))


def newcombe(one: Operation, two: Operation, width: float, effect: float) -> tuple[float, float]:
    """Bounds of the difference of two shares of failures (Newcombe, Statistics in Medicine 17,
    1998, method 10: from Wilson's intervals); ``effect`` divides the number of calls.
    """
    before, after = one.failed / one.calls, two.failed / two.calls
    low1, high1 = wilson(before, one.calls / effect, width)
    low2, high2 = wilson(after, two.calls / effect, width)
    gap = after - before
    return gap - math.hypot(after - low2, high1 - before), gap + math.hypot(
        high2 - after, before - low1
    )


def wilson(share: float, number: float, width: float) -> tuple[float, float]:
    """Wilson's interval of a share seen in a number of cases."""
    scale = 1 + width**2 / number
    centre = (share + width**2 / (2 * number)) / scale
    half = width / scale * math.sqrt(share * (1 - share) / number + width**2 / (4 * number**2))
    return max(centre - half, 0.0), min(centre + half, 1.0)
