"""What it costs to count a duration, and how far a percentile is off.

The same 200,000 lognormal durations go into our buckets and into locust's statistics (two leading
digits), and their percentiles are compared with the exact ones.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from loadtests.buckets import MICROS, RELATIVE_ERROR, Buckets, merged  # noqa: E402
from loadtests.recording import Key, Recording  # noqa: E402

MICROSECONDS = 0.5
NUMBER, ROUNDS = 200_000, 7
SHARES = (0.5, 0.9, 0.95, 0.99, 0.999, 1.0)


def best(run: Callable[[], object]) -> float:
    """CPU microseconds for each value, in the best of the rounds."""
    found = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        run()
        found.append((time.process_time() - begun) / NUMBER * 1e6)
    return min(found)


def fill(values: list[int]) -> Buckets:
    buckets = Buckets()
    for each in values:
        buckets.add(each)
    return buckets


def fill_recording(values: list[int]) -> Recording:
    recording, key = Recording(), Key("contacts.get", "sales_rep", "workday", "ok")
    for each in values:
        recording.add(key, each)
    return recording


def locust_percentiles(values: list[int]) -> tuple[float, dict[float, float]]:
    """Locust's statistics: cost of a value, and its percentiles in microseconds."""
    from locust.stats import RequestStats, StatsEntry

    def log() -> StatsEntry:
        entry = StatsEntry(RequestStats(), "contacts.get", "GET")
        for each in values:
            entry._log_response_time(each / 1000)  # type: ignore[arg-type]  # locust passes floats too
        entry.num_requests = len(values)
        return entry

    cost = best(log)
    entry = log()
    return cost, {share: entry.get_response_time_percentile(share) * 1000 for share in SHARES}


def main() -> int:
    rng = random.Random(1)
    values = [int(rng.lognormvariate(10, 1.2)) for _ in range(NUMBER)]
    ordered = sorted(values)
    true = {share: ordered[max(round(share * NUMBER) - 1, 0)] for share in SHARES}
    mine = fill(values)
    parts = merged(fill(values[at::4]) for at in range(4))
    exact = parts.pack() == mine.pack()
    cost, with_key = best(lambda: fill(values)), best(lambda: fill_recording(values))
    locust_cost, theirs = locust_percentiles(values)
    print(f"{'percentile':<12}{'true us':>10}{'ours us':>12}{'off':>9}{'locust us':>12}{'off':>9}")
    worst = 0.0
    for share in SHARES:
        found = (mine.percentile(share) or 0.0) * MICROS
        off, stock = found / true[share] - 1, theirs[share] / true[share] - 1
        worst = max(worst, abs(off))
        print(
            f"{share:<12}{true[share]:>10}{found:>12.0f}{off:>9.3%}{theirs[share]:>12.0f}{stock:>9.3%}"
        )
    print(
        f"\nours {cost:.3f} us a value ({with_key:.3f} with its key), locust {locust_cost:.3f} us"
    )
    print(
        f"{len(mine.counts)} buckets; merged of four parts: {'the same' if exact else 'DIFFERENT'}"
    )
    met = with_key <= MICROSECONDS and worst <= RELATIVE_ERROR and exact
    ratios = {"us": round(with_key, 4), "worst error": round(worst, 5), "merge exact": float(exact)}
    targets = {"us": MICROSECONDS, "worst error": RELATIVE_ERROR, "merge exact": 1.0}
    print(json.dumps({"bench": "load_recorder", "ratios": ratios, "targets": targets, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
