import struct

import numpy as np
import pytest
from PIL import Image

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.datasets.images import encode_png
from slim_retrieval.datasets.regions import list_images
from slim_retrieval.datasets.table import ImageTable, UnreadableImage
from slim_retrieval.datasets.tfrecord import read_tfrecord, write_tfrecord

PIXELS = np.random.RandomState(0).randint(0, 256, (5, 4, 6, 3)).astype(np.uint8)


def _table():
    return ImageTable(["im/{}.jpg".format(i) for i in range(5)],
                      {"label": list("babcb"), "color": list("12312")}, lambda i: PIXELS[i])


def _example(number=0, image=None, **extra):
    features = {"image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(
                    value=[encode_png(PIXELS[0]) if image is None else image])),
                "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[number]))}
    for name, value in extra.items():
        key = name.replace("__", "/")
        features[key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    return features


def _write(path, *all_features):
    with tf.python_io.TFRecordWriter(str(path)) as writer:
        for features in all_features:
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def test_round_trip_keeps_pixels_labels_paths_and_columns(tmp_path):
    path = str(tmp_path / "a.tfrecord")
    write_tfrecord(_table(), path)
    table = read_tfrecord(path)
    assert table.paths == _table().paths
    assert table.columns == _table().columns
    for i in [4, 0, 2]:  # random access, not in order
        assert (table.load(i) == PIXELS[i]).all()


def test_written_records_have_slims_schema_as_tensorflow_parses_it(tmp_path):
    path = str(tmp_path / "a.tfrecord")
    write_tfrecord(_table(), path)
    keys = {"image/encoded": tf.FixedLenFeature([], tf.string), "image/format": tf.FixedLenFeature([], tf.string),
            "image/class/label": tf.FixedLenFeature([], tf.int64), "image/filename": tf.FixedLenFeature([], tf.string),
            "image/class/text": tf.FixedLenFeature([], tf.string), "image/height": tf.FixedLenFeature([], tf.int64),
            "image/width": tf.FixedLenFeature([], tf.int64)}
    with tf.Graph().as_default(), tf.Session() as session:
        parsed = tf.parse_example(list(tf.python_io.tf_record_iterator(path)), keys)
        values = session.run(dict(parsed, pixels=tf.image.decode_png(parsed["image/encoded"][3], 3)))
    assert values["image/class/label"].tolist() == [1, 0, 1, 2, 1]
    assert values["image/class/text"].tolist() == [b"b", b"a", b"b", b"c", b"b"]
    assert values["image/format"].tolist() == [b"png"] * 5
    assert values["image/filename"][2] == b"im/2.jpg"
    assert (values["image/height"].tolist(), values["image/width"].tolist()) == ([4] * 5, [6] * 5)
    assert (values["pixels"] == PIXELS[3]).all()


def test_plain_files_are_stored_as_they_are_and_others_as_they_are_read(tmp_path):
    grey = Image.fromarray(PIXELS[1][:, :, 0])
    turned = Image.Exif()
    turned[0x0112] = 6
    made = [("a.jpg", Image.fromarray(PIXELS[0]), {}), ("b.png", grey, {}),
            ("c.jpg", Image.fromarray(PIXELS[2]), {"exif": turned.tobytes()}),
            ("d.png", Image.fromarray(PIXELS[3]).convert("P"), {}), ("e.bmp", Image.fromarray(PIXELS[4]), {}),
            ("f.jpg", Image.fromarray(PIXELS[0]), {}), ("g.jpg", Image.fromarray(PIXELS[0]).convert("CMYK"), {})]
    for name, image, options in made:
        image.save(str(tmp_path / name), **options)
    paths = [str(tmp_path / name) for name, _, _ in made]
    table = list_images(paths, {"label": ["x"] * 7, "box": [""] * 5 + ["1 1 4 3", ""]})
    write_tfrecord(table, str(tmp_path / "a.tfrecord"), keep_files=True)
    records = [tf.train.Example.FromString(record).features.feature
               for record in tf.python_io.tf_record_iterator(str(tmp_path / "a.tfrecord"))]
    for path, record, kept in zip(paths, records, [True, True, False, False, False, False, False]):
        with open(path, "rb") as stream:
            assert (record["image/encoded"].bytes_list.value[0] == stream.read()) == kept
    assert [record["image/format"].bytes_list.value[0] for record in records] == [b"jpeg"] + [b"png"] * 6
    assert [(record["image/height"].int64_list.value[0], record["image/width"].int64_list.value[0])
            for record in records] == [(4, 6), (4, 6), (6, 4), (4, 6), (4, 6), (2, 3), (4, 6)]
    again = read_tfrecord(str(tmp_path / "a.tfrecord"))
    for i in range(7):
        assert np.array_equal(again.load(i), table.load(i))


def test_class_names_fix_the_numbers_over_several_files(tmp_path):
    path = str(tmp_path / "a.tfrecord")
    write_tfrecord(_table().subset([3]), path, ["a", "b", "c"])
    record = next(tf.python_io.tf_record_iterator(path))
    assert tf.train.Example.FromString(record).features.feature["image/class/label"].int64_list.value[0] == 2
    with pytest.raises(InputError, match="'c' is not among the 2 class names"):
        write_tfrecord(_table(), path, ["a", "b"])


def test_shards_follow_one_another_and_numbers_serve_without_texts(tmp_path):
    _write(tmp_path / "x-1.tfrecord", _example(7))
    _write(tmp_path / "x-0.tfrecord", _example(3, image__class__text=b"three"), _example(4))
    table = read_tfrecord(str(tmp_path / "x-*.tfrecord"))
    assert table.paths == ["x-0.tfrecord/000000", "x-0.tfrecord/000001", "x-1.tfrecord/000000"]
    assert table.columns == {"label": ["3", "4", "7"]}
    assert all((table.load(i) == PIXELS[0]).all() for i in range(3))


def test_a_damaged_image_in_a_record_is_unreadable_and_named(tmp_path):
    _write(tmp_path / "a.tfrecord", _example(0, image=encode_png(PIXELS[0])[:40], image__filename=b"bad.png"))
    with pytest.raises(UnreadableImage, match="bad.png"):
        read_tfrecord(str(tmp_path / "a.tfrecord")).load(0)


def test_truncation_and_damage_are_found_on_opening(tmp_path):
    path = tmp_path / "a.tfrecord"
    write_tfrecord(_table(), str(path))
    whole = path.read_bytes()
    first = struct.unpack("<Q", whole[:8])[0] + 16  # length, data and two checksums
    for content, records in [(whole[:-5], 4), (whole[:first + 3], 1), (whole[:first + 20], 1),
                             (whole[:first + 30] + b"?" + whole[first + 31:], 1), (b"\x05" + whole[1:], 0)]:
        path.write_bytes(content)
        with pytest.raises(InputError, match="a.tfrecord is truncated, damaged .* after {} whole".format(records)) as e:
            read_tfrecord(str(path))
        assert "\n" not in str(e.value)


def test_a_file_that_changes_later_is_unreadable_not_garbage(tmp_path):
    path = tmp_path / "a.tfrecord"
    write_tfrecord(_table(), str(path))
    table = read_tfrecord(str(path))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UnreadableImage, match="im/4.jpg: .*changed"):
        table.load(4)


def test_missing_fields_foreign_records_and_no_files_are_explained(tmp_path):
    path = tmp_path / "a.tfrecord"
    features = _example()
    del features["image/class/label"]
    _write(path, features)
    with pytest.raises(InputError, match=r"record 0: no image/class/label \(it has image/encoded\)"):
        read_tfrecord(str(path))
    with tf.python_io.TFRecordWriter(str(path)) as writer:
        writer.write(b"\xff\xff")
    with pytest.raises(InputError, match="record 0 is no tf.train.Example"):
        read_tfrecord(str(path))
    with pytest.raises(InputError, match="no file matches .*b-"):
        read_tfrecord(str(tmp_path / "b-*"))


def test_an_interrupted_write_leaves_nothing(tmp_path):
    def read(i):
        raise UnreadableImage("x", "gone")

    with pytest.raises(UnreadableImage):
        write_tfrecord(ImageTable(["x"], {"label": ["a"]}, read), str(tmp_path / "a.tfrecord"))
    assert list(tmp_path.iterdir()) == []
