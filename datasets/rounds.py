"""Items that come round: which of them make up visit number v is computed from (seed, v); nothing is replayed."""
import functools
from math import gcd

import numpy as np

# Second part of a seed: what is drawn for one purpose says nothing of what is drawn for another.
(CLASSES, IMAGES, FILL, ROWS, TURNS, TWO_CLASSES, SIBLINGS, SINGLES, MATES, UNLABELLED, BOXES) = range(11)


class Rounds:
    """Groups of items out of seeded passes, each of which holds every item once."""

    def __init__(self, *seed, kept=1024):
        """Make a source of its own: `seed` are ints that no other source has; `kept`: orders held in memory."""
        self._seed = seed
        self._order = functools.lru_cache(maxsize=kept)(self._draw)
        self._shuffled = functools.lru_cache(maxsize=2)(self._shuffle)

    def __call__(self, visit, count, group, *which):
        """Return int32 [group] of 0 ... count - 1: what visit number `visit` holds.

        Over the visits every item is as often as any other; see `grouped_passes` for what one group holds.

        Args:
          which: ints that tell apart sets of items with orders of their own.
        """
        cycle, offset = divmod(visit * group, _cycle_length(count, group))
        return self._order(count, group, cycle, which)[offset:offset + group]

    def epochs(self, visit, count, group):
        """Return as `__call__`, for very many items: a pass over them ends with its last whole group.

        The fewer than `group` items that are left over are others in each pass. With count < group, as `__call__`.
        """
        if count < group:
            return self(visit, count, group)
        number, place = divmod(visit, count // group)
        return self._shuffled(count, number)[place * group:(place + 1) * group]

    def _draw(self, count, group, cycle, which):
        return grouped_passes(count, group, np.random.RandomState(self._seed + which + (cycle,)))

    def _shuffle(self, count, number):
        return np.random.RandomState(self._seed + (number,)).permutation(count).astype(np.int32)


def earlier_visits(visit, count, group):
    """Return int64 [group]: how often each item of visit number `visit` came before it."""
    # Every pass holds every item once, so that the number of the pass is how often an item came before.
    return (visit * group + np.arange(group)) // count


def grouped_passes(count, group, random):
    """Return passes over `count` items, one after the other, that can be cut into whole groups.

    There are as many passes as it takes to end on a group's end. Each pass holds every item once. Within a group, too,
    any two items are equally often or once apart: with count >= group none is there twice, not even in a group that
    begins in one pass and ends in the next.

    Returns:
      int32 [least common multiple of count and group].
    """
    passes = np.empty((_cycle_length(count, group) // count, count), np.int32)
    for i in range(len(passes)):
        passes[i] = random.permutation(count)
        filled = i * count % group  # items in the group that is still open
        begun = filled % count  # of these, the items of its round over all items that is not yet complete
        if begun:
            passes[i] = _defer(passes[i], passes[i - 1][count - begun:], min(group - filled, count - begun))
    return passes.reshape(-1)


def _defer(order, taken, head):
    """Return `order` with its first `head` items that are not in `taken` moved to the front."""
    front = order[~np.isin(order, taken)][:head]
    return np.concatenate([front, order[~np.isin(order, front)]])


def _cycle_length(count, group):
    return count * group // gcd(count, group)
