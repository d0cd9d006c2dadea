"""Pairs to clusters, split where a bridge is weak.

Connected components chain: a - b - c, where a and c have nothing in common.  So inside each
component the clusters grow by average linkage: two join only while the mean probability over all
pairs between them, unlikely ones included, is at least the threshold.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from dq_checks.duplicates.scoring import Scored

LARGEST = 400
"""Components with more records are first cut at higher probabilities."""

_STRICTER = (0.9, 0.99, 0.999, 0.9999)

Weights = Mapping[tuple[int, int], float]


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


def cluster(pairs: Sequence[Scored], threshold: float) -> list[list[int]]:
    """Clusters of two or more records, each sorted, in order of their first record."""
    weights = {(left, right): probability for left, right, probability in pairs}
    found: list[list[int]] = []
    for members in components(pairs, threshold):
        if len(members) == 2:
            found.append(members)
        else:
            found += _split(members, weights, threshold)
    return sorted(each for each in found if len(each) > 1)


def _split(members: Sequence[int], weights: Weights, threshold: float) -> list[list[int]]:
    if len(members) <= LARGEST:
        return _average_linkage(members, weights, threshold)
    inside = set(members)
    known = [(a, b, w) for (a, b), w in weights.items() if a in inside and b in inside]
    for stricter in _STRICTER:
        parts = components(known, max(stricter, threshold))
        if all(len(each) <= LARGEST for each in parts):
            break
    return [
        piece
        for part in parts
        for piece in (_average_linkage(part, weights, threshold) if len(part) <= LARGEST else [])
    ]


def _average_linkage(members: Sequence[int], weights: Weights, threshold: float) -> list[list[int]]:
    """Join the two closest clusters until none are close enough; ties go to the first records."""
    clusters = {number: [member] for number, member in enumerate(members)}
    sums: dict[int, dict[int, float]] = defaultdict(dict)
    heap: list[tuple[float, int, int]] = []
    for a, left in enumerate(members):
        for b in range(a + 1, len(members)):
            weight = weights.get((left, members[b]))
            if weight:
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
        for other in (sums_a.keys() | sums_b.keys()) & clusters.keys():
            total = sums_a.get(other, 0.0) + sums_b.get(other, 0.0)
            sums[following][other] = sums[other][following] = total
            mean = total / (len(made) * len(clusters[other]))
            heapq.heappush(heap, (-mean, other, following))
        clusters[following] = made
        following += 1
    return [sorted(each) for each in clusters.values()]
