"""The picture of a batch's hardest triplets: the right rows, in the right places."""
import io

import numpy as np
from PIL import Image

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.training import summaries


def test_hardest_triplets_are_those_of_a_loop():
    random = np.random.RandomState(0)
    rows, labels = random.randn(14, 3), np.array([0, 0, 0, 1, 1, 2, 2, 2, 3, -1, -1, 3, 4, 4])
    expected = []
    for a in range(14):
        def distance(i, a=a):
            return np.sqrt(((rows[a] - rows[i]) ** 2).sum())
        positives = [i for i in range(14) if i != a and labels[i] == labels[a] >= 0]
        negatives = [i for i in range(14) if labels[i] != labels[a] and min(labels[i], labels[a]) >= 0]
        if positives and negatives:
            p, n = max(positives, key=distance), min(negatives, key=distance)
            expected.append((distance(p) - distance(n), a, p, n))
    expected = [triplet for _, *triplet in sorted(expected, reverse=True)]
    assert len(expected) == 12
    assert summaries.hardest_triplets(rows, labels, 20).tolist() == expected
    assert summaries.hardest_triplets(rows, labels, 5).tolist() == expected[:5]


def test_no_triplet_at_all():
    rows = np.eye(3)
    for labels in ([0, 0, 0], [0, 1, 2], [-1, -1, -1]):
        assert summaries.hardest_triplets(rows, np.array(labels), 8).shape == (0, 3)


def test_picture_has_anchor_positive_and_negative_in_a_line(tmp_path):
    images = np.zeros((4, 10, 10, 3), np.float32) + np.array([10, 80, 160, 300])[:, None, None, None]
    picture = summaries.triplet_picture(images, np.array([[0, 1, 2], [3, 2, 1]]))
    assert picture.shape == (2 * 10 + 4, 3 * 10 + 2 * 4, 3)
    assert picture[5, [5, 19, 33], 0].tolist() == [10, 80, 160]
    assert picture[19, [5, 19, 33], 0].tolist() == [255, 160, 80]  # beyond 255 is white
    assert (picture[10:14] == 255).all()
    writer = tf.summary.FileWriter(str(tmp_path))
    summaries.write_picture(writer, 7, "name", picture)
    writer.close()
    (file,) = tmp_path.iterdir()
    found = [(event.step, value) for event in tf.train.summary_iterator(str(file)) for value in event.summary.value]
    assert [(step, value.tag, value.image.width) for step, value in found] == [(7, "name", 38)]
    np.testing.assert_array_equal(Image.open(io.BytesIO(found[0][1].image.encoded_image_string)), picture)


def test_large_images_become_small():
    picture = summaries.triplet_picture(np.zeros((3, 224, 224, 3)), np.array([[0, 1, 2]]))
    assert picture.shape == (96, 3 * 96 + 2 * 4, 3)
