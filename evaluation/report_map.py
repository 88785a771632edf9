"""A map of the embedding: a seeded sample of images laid out in the plane by t-SNE and, if installed, by UMAP."""
import importlib.util

import numpy as np

POINTS = 1000  # laid out at most
LABELS = 20  # with more labels than this, so many are drawn first: one image a label would show no groups
FEWEST = 5  # images that a layout needs
ITERATIONS = 500  # of t-SNE: half of scikit-learn's default and time, for 5 % more Kullback-Leibler divergence
COMPONENTS = 50  # t-SNE works on this many principal components
SIDE = 1000  # coordinates are whole numbers from 0 to SIDE


def draw(query_labels, gallery_labels, seed=0, points=POINTS):
    """Return the sampled rows, (queries, gallery images), int each, ascending; a fourth are queries where there are.

    With more than LABELS different labels, the images of LABELS random ones come first (a label of several images
    before one of a single image); images of any label fill the rest.
    """
    random = np.random.RandomState(seed)
    known = {}
    codes = np.array([known.setdefault(label, len(known)) for labels in (query_labels, gallery_labels)
                      for label in labels])
    first = np.zeros(len(codes), bool)
    if len(known) > LABELS:
        counts = np.bincount(codes)
        shuffled = random.permutation(len(known))
        first = np.isin(codes, shuffled[np.argsort(counts[shuffled] < 2, kind="stable")][:LABELS])
    split = len(query_labels)
    num_queries = min(split, max(points // 4, points - len(gallery_labels)))
    rows = []
    for start, stop, count in ((0, split, num_queries), (split, len(codes), points - num_queries)):
        order = random.permutation(stop - start)
        order = order[np.argsort(~first[start:stop][order], kind="stable")]
        rows.append(np.sort(order[:count]))
    return rows[0], rows[1]


def layouts(features, seed=0):
    """Return {method of layout: int [n, 2]} of features float32 [n, d], rows L2-normalised.

    t-SNE by scikit-learn, on at most COMPONENTS principal components; UMAP with its defaults if umap-learn is
    installed. Coordinates run from 0 to SIDE, with one scale for both axes. Fewer than FEWEST images: nothing.
    """
    features = np.asarray(features, np.float64)
    if len(features) < FEWEST:
        return {}
    found = {"t-SNE": _fit(tsne(features, seed))}
    if importlib.util.find_spec("umap"):
        found["UMAP"] = _fit(umap(features, seed))
    return found


def tsne(features, seed):
    """Return the t-SNE layout (van der Maaten, Hinton 2008), begun at the first two principal components."""
    from sklearn.decomposition import PCA  # here: scikit-learn takes a second to import, and only the map needs it
    from sklearn.manifold import TSNE
    with np.errstate(invalid="ignore"):  # of equal images there is no variance to share out
        components = PCA(min(COMPONENTS, *features.shape), random_state=seed).fit_transform(features)
    start = np.random.RandomState(seed).normal(scale=1e-4, size=(len(features), 2))
    spread = components[:, 0].std()
    if spread > 1e-9:  # not all images alike
        width = min(2, components.shape[1])
        start[:, :width] += 1e-4 * components[:, :width] / spread
    model = TSNE(init=start.astype(np.float32), learning_rate="auto", perplexity=min(30, (len(features) - 1) / 3),
                 random_state=seed)
    name = "max_iter" if "max_iter" in model.get_params() else "n_iter"  # before scikit-learn 1.5
    return model.set_params(**{name: ITERATIONS}).fit_transform(components)


def umap(features, seed):
    """Return the UMAP layout (McInnes, Healy, Melville 2018)."""
    from umap import UMAP  # which imports TensorFlow where there is one, for a part that is not used here
    return UMAP(n_neighbors=min(15, len(features) - 1), random_state=seed, n_jobs=1).fit_transform(features)


def _fit(places):
    low, high = places.min(axis=0), places.max(axis=0)
    scale = max((high - low).max(), 1e-9)
    return np.round(((places - (low + high) / 2) / scale + 0.5) * SIDE).astype(int)
