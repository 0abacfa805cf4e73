"""Which texts are the same text with a few letters changed: clusters of near-duplicates.

Two texts are near-duplicates when their sets of character 5-grams have a Jaccard similarity of at least 4/5; clusters
are what chains of near-duplicates connect (single linkage). Nothing is estimated: no MinHash, no floating point. But a
text that shares much with thousands of others and is like none of them is compared only until its share of `WORK` is
used up, first with those with which it shares the rarest grams; fewer than a thousand short texts never come to that.

Method: an all-pairs join with prefix filter, length filter and the positional filter of the probing side (Bayardo, Ma,
Srikant 2007, "Scaling up all pairs similarity search"; Xiao et al. 2008, "PPJoin"). Departure: a posting list is kept
by cluster, and what already lies in the probing text's cluster is skipped as a whole, because only the clusters are
wanted; thousands of texts with one common beginning then cost no more than as many different ones.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

GRAM = 5
"""Characters."""
WORK = 300_000_000
"""Grams compared and rows met in all: a bound on the time (half a minute for 5e8 on two busy cores)."""


def normalised(text: str) -> str:
    """Letter case, white space and forms of the same character do not matter."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def grams(text: str) -> set[str]:
    """Every run of 5 characters; a shorter text is its only gram."""
    return {text[start : start + GRAM] for start in range(max(len(text) - GRAM + 1, 1))}


def clusters(texts: Sequence[str], work: int = WORK) -> list[int]:
    """Cluster number of each text, numbered by first appearance; `work` is shared evenly by the different texts."""
    row_of: dict[str, int] = {}
    rows = [row_of.setdefault(normalised(text), len(row_of)) for text in texts]
    roots = _Joined(_by_rarity(list(row_of)), work).roots()
    number_of: dict[int, int] = {}
    return [number_of.setdefault(roots[row], len(number_of)) for row in rows]


def _by_rarity(texts: list[str]) -> list[tuple[int, ...]]:
    """The grams of each text as numbers, ascending; the rarer a gram, the smaller its number, from 0; ties by text.

    A gram of one text only has a negative number: it counts for the size and the order, and is never looked up.
    """
    counts = Counter(gram for text in texts for gram in grams(text))
    alone = sum(count == 1 for count in counts.values())
    ordered = sorted(counts, key=lambda gram: (counts[gram], gram))
    number_of = {gram: number - alone for number, gram in enumerate(ordered)}
    return [tuple(sorted(number_of[gram] for gram in grams(text))) for text in texts]


def _similar(members: frozenset[int], others: tuple[int, ...]) -> bool:
    """Jaccard >= 4/5, from the overlap alone."""
    return 9 * sum(map(members.__contains__, others)) >= 4 * (len(members) + len(others))


class _Joined:
    """The join at work: a union-find over the rows, and the posting lists."""

    def __init__(self, rows: list[tuple[int, ...]], work: int) -> None:
        self.rows = rows
        self.share = self.left = work // max(len(rows), 1)
        self.parent = list(range(len(rows)))
        self.postings: dict[int, dict[int, list[int]]] = {}
        """Gram -> cluster (by a root, perhaps a former one) -> the rows with that gram in their prefix."""

    def roots(self) -> list[int]:
        """The root of each row's cluster. Short rows first: a row meets all that are no longer than itself."""
        for row in sorted(range(len(self.rows)), key=lambda row: (len(self.rows[row]), self.rows[row])):
            self._probe_(row)
            self._index_(row)
        return [self._root(row) for row in range(len(self.rows))]

    def _probe_(self, row: int) -> None:
        """Join the row with every cluster in which an indexed row is similar to it, as far as its work goes."""
        members, refused = frozenset(self.rows[row]), set[int]()
        self.left = self.share
        for root, other in self._met(row):
            if other in refused:
                continue
            self.left -= len(self.rows[other])
            if _similar(members, self.rows[other]):
                self.parent[self._root(row)] = self._root(root)
            else:
                refused.add(other)

    def _met(self, row: int) -> Iterator[tuple[int, int]]:
        """(root, row) of indexed rows of other clusters that may be similar, those with the rarest common gram first.

        Of similar rows, sizes n >= m, overlap o: o / (n + m - o) >= 4/5, so 9 o >= 4 (n + m), m >= 4 n / 5 and
        o >= 4 n / 5. So a common gram stands among the first n - ceil(4 n / 5) + 1; and when the first one stands at
        position p, o <= n - p, so m <= 9 (n - p) / 4 - n.
        """
        own = self.rows[row]
        size = len(own)
        least = -(-4 * size // 5)
        for position, gram in enumerate(own[: size - least + 1]):
            groups = self.postings.get(gram, {})
            self.left -= len(groups)
            if self.left < 0:
                return
            self._renew_(groups)
            most = 9 * (size - position) // 4 - size
            for root, others in groups.items():
                for other in others:
                    self.left -= 1
                    if self.left < 0:
                        return
                    if self._root(root) == self._root(row):
                        break
                    if least <= len(self.rows[other]) <= most:
                        yield root, other

    def _index_(self, row: int) -> None:
        """Enter the row's prefix. Rows to come are no shorter, so o >= 8 m / 9 and m - ceil(8 m / 9) + 1 grams do."""
        own, root = self.rows[row], self._root(row)
        for gram in own[: len(own) - -(-8 * len(own) // 9) + 1]:
            if gram >= 0:
                self.postings.setdefault(gram, {}).setdefault(root, []).append(row)

    def _renew_(self, groups: dict[int, list[int]]) -> None:
        """Put groups whose clusters were joined together, the smaller into the larger."""
        for former in [root for root in groups if self.parent[root] != root]:
            rows, root = groups.pop(former), self._root(former)
            small, large = sorted((rows, groups.get(root, [])), key=len)
            large += small
            groups[root] = large

    def _root(self, row: int) -> int:
        while self.parent[row] != row:
            self.parent[row] = row = self.parent[self.parent[row]]
        return row
