"""Method "none": the features as they are."""


class Plain:
    """Leave gallery and queries as they are, so that search is plain nearest neighbours."""

    def __init__(self):
        self.report_ = {}

    def needed_neighbors(self, n):
        """Return 0: it takes no graph."""
        return 0

    def fit(self, gallery, neighbors=None, labels=None):
        """Set `gallery_` to the gallery itself and return self."""
        self.gallery_ = gallery
        return self

    def transform(self, queries):
        """Return the queries themselves."""
        return queries
