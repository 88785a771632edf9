"""Method "aqe": average query expansion."""
from slim_retrieval.graph.query_expansion import AlphaQE


class AQE(AlphaQE):
    """Average query expansion: q' = normalise(q + sum_j x_j) over the k nearest gallery images.

    Chum, Philbin, Sivic, Isard and Zisserman, "Total Recall: Automatic Query Expansion with a Generative Feature Model
    for Object Retrieval", ICCV 2007, with nearest neighbours in the place of spatially verified results. It is alpha
    query expansion with alpha 0. A neighbour of similarity 0 or less is no result and is left out, though s^0 = 1. The
    gallery is not changed.

    Args:
      k: neighbours that expand the query.
    """

    def __init__(self, k=10):
        super().__init__(k=k, alpha=0.0)
