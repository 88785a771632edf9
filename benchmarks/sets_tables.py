"""Small sets of measurements: scikit-learn's, and those of the R package mlbench (letters, speech, satellite, ...)."""
import numpy as np
from sets_common import sample, sample_each, standardised
from sklearn import datasets

from slim_retrieval.common.errors import InputError


def table(name):
    """iris, wine or breast_cancer of scikit-learn, standardised columns."""
    bunch = getattr(datasets, "load_" + name)()
    return {"features": standardised(bunch.data), "labels": bunch.target}


def digits(each=None):
    """1,797 handwritten digits of 8 x 8 pixels, less their mean; `each`: that many of each class."""
    bunch = datasets.load_digits()
    rows = np.arange(len(bunch.target)) if each is None else sample_each(bunch.target, each)
    return {"features": (bunch.data - bunch.data.mean(axis=0))[rows], "labels": bunch.target[rows]}


def letters(material, each=None):
    """Frey and Slate's letters, 16 measurements: 3,500 of 20,000, or `each` of each class."""
    columns, labels = _mlbench(material, "LetterRecognition", "lettr")
    rows = sample(len(labels), 3500) if each is None else sample_each(labels, each)
    return {"features": standardised(columns)[rows], "labels": labels[rows]}


def vowels(material, by):
    """Deterding's eleven vowels by fifteen speakers, 9 measurements; class: the `vowel` or the `speaker`."""
    columns, labels = _mlbench(material, "Vowel", "Class")
    return {"features": standardised(columns[:, 1:]), "labels": labels if by == "vowel" else columns[:, 0]}


def satellite(material):
    """Soil in 3 x 3 pixels of four bands: 2,500 of 6,435."""
    columns, labels = _mlbench(material, "Satellite", "classes")
    rows = sample(len(labels), 2500)
    return {"features": standardised(columns)[rows], "labels": labels[rows]}


def mlbench(material, name, label):
    """Another table of mlbench, standardised columns."""
    columns, labels = _mlbench(material, name, label)
    return {"features": standardised(columns), "labels": labels}


def _mlbench(material, name, label):
    """Return (float64 [n, columns], labels as text [n])."""
    try:
        import rdata
    except ImportError as error:
        raise InputError("{} is a file of R, which rdata reads; install it with: pip install rdata".format(
            name)) from error
    (content,) = material.debian("r-cran-mlbench", lambda path: path.endswith("/{}.rda".format(name))).values()
    frame = rdata.conversion.convert(rdata.parser.parse_data(content), default_encoding="ascii")[name]
    return frame.drop(columns=[label]).astype(float).to_numpy(), frame[label].astype(str).to_numpy()
