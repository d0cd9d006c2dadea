"""Pairs to clusters, split where a bridge is weak.

Connected components chain: a - b - c, where a and c have nothing in common.  So inside each
component the clusters grow by average linkage: two join only while the mean probability over all
pairs between them, unlikely ones included, is at least the threshold.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from dq_checks.duplicates.scoring import Scored


def components(pairs: Iterable[Scored], threshold: float) -> list[list[int]]:
    """Records connected by pairs of at least ``threshold``; two or more each, sorted."""
    parent: dict[int, int] = {}

    def root(node: int) -> int:
        while parent.setdefault(node, node) != node:
            parent[node] = node = parent[parent[node]]
        return node

    for left, right, probability in pairs:
        if probability >= threshold:
            a, b = root(left), root(right)
            if a != b:
                parent[max(a, b)] = min(a, b)
    found: dict[int, list[int]] = defaultdict(list)
    for node in parent:
        found[root(node)].append(node)
    return sorted(sorted(each) for each in found.values() if len(each) > 1)


def inside(pairs: Iterable[Scored], parts: Sequence[Sequence[int]]) -> Iterator[tuple[int, Scored]]:
    """The pairs inside components of three or more, each with the number of its component."""
    of = {row: at for at, members in enumerate(parts) if len(members) > 2 for row in members}
    for pair in pairs:
        number = of.get(pair[0])
        if number is not None and number == of.get(pair[1]):
            yield number, pair


def cluster(
    pairs: Sequence[Scored], threshold: float, parts: Sequence[list[int]] | None = None
) -> list[list[int]]:
    """Clusters of two or more records, each sorted, in order of their first record.

    Only pairs that are known are looked at, so a large component costs what its pairs cost.
    ``parts``: the components, where they are known.
    """
    if parts is None:
        parts = components(pairs, threshold)
    edges: dict[int, list[Scored]] = defaultdict(list)
    for number, pair in inside(pairs, parts):
        edges[number].append(pair)
    found: list[list[int]] = []
    for number, members in enumerate(parts):
        known = edges.get(number)
        found += _average_linkage(members, known, threshold) if known else [members]
    return sorted(each for each in found if len(each) > 1)


def _average_linkage(
    members: Sequence[int], edges: Sequence[Scored], threshold: float
) -> list[list[int]]:
    """Join the two closest clusters until none are close enough; ties go to the first records."""
    at = {row: number for number, row in enumerate(members)}
    clusters = {number: [row] for row, number in at.items()}
    sums: dict[int, dict[int, float]] = defaultdict(dict)
    heap: list[tuple[float, int, int]] = []
    for left, right, weight in edges:
        a, b = at[left], at[right]
        sums[a][b] = sums[b][a] = weight
        heap.append((-weight, a, b))
    heapq.heapify(heap)
    following = len(members)
    while heap:
        negative, a, b = heapq.heappop(heap)
        if -negative < threshold:
            break
        if a not in clusters or b not in clusters:
            continue
        made = clusters.pop(a) + clusters.pop(b)
        sums_a, sums_b = sums.pop(a), sums.pop(b)
        for other in sorted((sums_a.keys() | sums_b.keys()) & clusters.keys()):
            total = sums_a.get(other, 0.0) + sums_b.get(other, 0.0)
            sums[following][other] = sums[other][following] = total
            mean = total / (len(made) * len(clusters[other]))
            heapq.heappush(heap, (-mean, other, following))
        clusters[following] = made
        following += 1
    return [sorted(each) for each in clusters.values()]
