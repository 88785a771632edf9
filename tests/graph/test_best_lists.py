from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from slim_retrieval.graph import best_lists
from slim_retrieval.graph.compiled import workers

pytest.importorskip("numba")


def slowly(n, k, offers, same):
    """Sort everything that was offered to each row with Python."""
    heard = [{} for _ in range(n)]
    for products, rows, columns, both in offers:
        for r, row in enumerate(rows):
            for c, column in enumerate(columns):
                if not (same and row == column):
                    heard[row][column] = products[r, c]
                    if both:
                        heard[column][row] = products[r, c]
    return [sorted(found.items(), key=lambda item: -item[1])[:k] for found in heard]


def rows_of(products):
    return lambda first, last: products[first:last]


@pytest.mark.parametrize("same, both", [(True, True), (True, False), (False, False)])
def test_the_best_of_what_was_offered_stay(same, both):
    random, n, k = np.random.RandomState(0), 150, 7
    offers = []
    for _ in range(6):
        rows, columns = random.permutation(n)[:70], random.permutation(n)[:90]
        offers.append([None, rows, columns, both])
    products = random.randn(n, n).astype(np.float32)
    products += products.T  # a pair that is offered again has the same similarity
    found = best_lists.Lists(n, k, same)
    if not same:  # each pair once
        offers = offers[:1]
    with workers() as pool:
        for offer in offers:
            offer[0] = np.ascontiguousarray(products[np.ix_(offer[1], offer[2])])
            if both:
                found.offer_both([(lambda offer=offer: offer[0], offer[1], offer[2])], pool)
            else:
                found.offer(rows_of(offer[0]), offer[1], offer[2], pool)
    for row, expected in enumerate(slowly(n, k, offers, same)):
        ids, similarities = zip(*expected) if expected else ((), ())
        pads = k - len(expected)
        np.testing.assert_array_equal(found.ids[row], list(ids) + [-1] * pads)
        np.testing.assert_array_equal(found.similarities[row], list(similarities) + [best_lists.NONE] * pads)


def test_products_may_come_part_by_part():
    random = np.random.RandomState(1)
    products, parts = random.randn(300, 80).astype(np.float32), []

    def some(first, last):
        parts.append((first, last))
        return products[first:last]

    whole, cut = best_lists.Lists(300, 5), best_lists.Lists(300, 5)
    with workers() as pool:
        whole.offer(rows_of(products), np.arange(300), np.arange(80), pool)
        cut.offer(some, np.arange(300), np.arange(80), pool)
    np.testing.assert_array_equal(cut.ids, whole.ids)
    np.testing.assert_array_equal(whole.ids, np.argsort(-products, axis=1)[:, :5])
    assert sorted(row for first, last in parts for row in range(first, last)) == list(range(300))


@pytest.mark.parametrize("threads", [1, 5])
def test_equal_ones_stay_in_the_order_of_the_offers(threads):
    """However many blocks are offered at once, on however many threads: similarities have eleven values only."""
    random, n, k = np.random.RandomState(2), 200, 6
    products = (random.randint(0, 11, (n, n)) / 8).astype(np.float32)
    products = np.maximum(products, products.T)
    blocks = []
    for _ in range(9):
        rows, columns = random.permutation(n)[:50], random.permutation(n)[:70]
        blocks.append((np.ascontiguousarray(products[np.ix_(rows, columns)]), rows, columns))
    first, second = best_lists.Lists(n, k, same=True), best_lists.Lists(n, k, same=True)
    with ThreadPoolExecutor(threads) as pool:
        for values, rows, columns in blocks:
            first.offer_both([(lambda values=values: values, rows, columns)], pool)
        second.offer_both([(lambda values=values: values, rows, columns) for values, rows, columns in blocks], pool)
    np.testing.assert_array_equal(second.ids, first.ids)
    heard = [{} for _ in range(n)]  # in the order of the offers, which sorting keeps
    for values, rows, columns in blocks:
        for r, row in enumerate(rows):
            for c, column in enumerate(columns):
                if row != column:
                    heard[row].setdefault(column, values[r, c])
                    heard[column].setdefault(row, values[r, c])
    for row in range(n):
        expected = sorted(heard[row].items(), key=lambda item: -item[1])[:k]
        np.testing.assert_array_equal(first.ids[row], [other for other, _ in expected])
