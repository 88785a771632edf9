import json
import os
import subprocess
import sys

import numpy as np
import pytest

from slim_retrieval.common import feature_store, files
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.feature_store import FeatureWriter

WIDTH = 5


def features_of(start, stop, seed=0):
    """Rows [start, stop) of a fixed table, far from unit length."""
    table = np.random.RandomState(seed).randn(100, WIDTH).astype(np.float32) * 37
    return table[start:stop]


def columns_of(rows):
    return {"path": ["images/{}.jpg".format(row) for row in rows], "label": [str(row % 3) for row in rows]}


def write_all(folder, stop=20, batch=7, key="k", start=None):
    """Write rows up to `stop` from where the store stands; return the writer before finish()."""
    writer = FeatureWriter(str(folder), WIDTH, key)
    if start is not None:
        assert writer.next_row == start
    while writer.next_row < stop:
        end = min(writer.next_row + batch, stop)
        writer.append(features_of(writer.next_row, end), end - writer.next_row)
    return writer


def finished(folder, stop=20, **kwargs):
    write_all(folder, stop, **kwargs).finish(columns_of(range(stop)), {"model": "m"})


def contents(folder):
    return {name: (folder / name).read_bytes() for name in sorted(os.listdir(str(folder)))}


def test_a_store_holds_the_normalised_rows_index_and_meta(tmp_path):
    folder = tmp_path / "features" / "query"
    finished(folder)
    assert os.listdir(str(tmp_path / "features")) == ["query"]
    assert sorted(os.listdir(str(folder))) == ["features.npy", "index.csv", "meta.json"]
    features = features_of(0, 20).astype(np.float64)
    expected = np.stack([row / np.sqrt(np.sum(row * row)) for row in features])
    for stored in (np.load(str(folder / "features.npy")), np.load(str(folder / "features.npy"), mmap_mode="r")):
        assert stored.dtype == np.float32 and stored.shape == (20, WIDTH) and stored.flags.c_contiguous
        np.testing.assert_allclose(stored, expected, rtol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(stored.astype(np.float64), axis=1), 1, atol=1e-6)
    assert (folder / "index.csv").read_text().splitlines()[:2] == ["path,label", "images/0.jpg,0"]
    assert json.loads((folder / "meta.json").read_text()) == {
        "model": "m", "key": "k", "rows": 20, "width": WIDTH, "skipped": [],
        "features_hash": files.digest(np.load(str(folder / "features.npy")))}


def test_the_header_is_numpys(tmp_path):
    finished(tmp_path / "query")
    with open(str(tmp_path / "query" / "features.npy"), "rb") as stream:
        assert np.lib.format.read_magic(stream) == (1, 0)
        assert np.lib.format.read_array_header_1_0(stream) == ((20, WIDTH), False, np.dtype("<f4"))
        assert stream.tell() % 64 == 0  # aligned for a memory map
        assert len(stream.read()) == 20 * WIDTH * 4


def test_the_batch_size_changes_nothing(tmp_path):
    for batch in (1, 7, 20):
        finished(tmp_path / str(batch), batch=batch)
    assert contents(tmp_path / "1") == contents(tmp_path / "7") == contents(tmp_path / "20")


def test_input_is_left_alone_and_other_dtypes_are_taken(tmp_path):
    for dtype in (np.float16, np.float64):
        features = features_of(0, 6).astype(dtype)
        before = features.copy()
        writer = FeatureWriter(str(tmp_path / dtype.__name__), WIDTH, "k")
        writer.append(features, 6)
        writer.finish(columns_of(range(6)), {})
        np.testing.assert_array_equal(features, before)
        stored = np.load(str(tmp_path / dtype.__name__ / "features.npy"))
        assert stored.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(stored, axis=1), 1, atol=1e-6)


def test_tiny_and_huge_features_are_normalised_too(tmp_path):
    writer = FeatureWriter(str(tmp_path / "q"), 2, "k")
    writer.append(np.array([[3e-30, 4e-30], [3e30, 4e30]], np.float32), 2)  # their squares are 0 and inf in float32
    writer.finish(columns_of(range(2)), {})
    np.testing.assert_allclose(np.load(str(tmp_path / "q" / "features.npy")), [[0.6, 0.8]] * 2, rtol=1e-6)


def test_skipped_images_shrink_the_store(tmp_path):
    folder = tmp_path / "query"
    writer = FeatureWriter(str(folder), WIDTH, "k")
    writer.append(features_of(0, 3), 4, ["images/3.jpg"])
    writer.append(features_of(0, 0), 2, ["images/4.jpg", "images/5.jpg"])  # a whole batch unreadable
    writer.append(features_of(6, 8), 2)
    assert writer.next_row == 8
    writer.finish(columns_of([0, 1, 2, 6, 7]), {})
    stored = np.load(str(folder / "features.npy"), mmap_mode="r")
    assert stored.shape == (5, WIDTH)
    np.testing.assert_allclose(stored[4], features_of(7, 8)[0] / np.linalg.norm(features_of(7, 8)[0]), rtol=1e-6)
    meta = files.read_json(str(folder / "meta.json"))
    assert meta["rows"] == 5 and meta["skipped"] == ["images/3.jpg", "images/4.jpg", "images/5.jpg"]


def test_a_store_of_no_rows(tmp_path):
    writer = FeatureWriter(str(tmp_path / "query"), WIDTH, "k")
    writer.append(features_of(0, 0), 1, ["images/0.jpg"])
    writer.finish(columns_of([]), {})
    assert np.load(str(tmp_path / "query" / "features.npy")).shape == (0, WIDTH)
    assert feature_store.read_index(str(tmp_path / "query" / "index.csv")) == {"path": [], "label": []}


def garbage(path):
    with open(path, "ab") as stream:
        stream.write(b"\x01\x02\x03" * 11)  # a row and a half


@pytest.mark.parametrize("damage", [lambda path: None, garbage])
def test_a_killed_writer_is_resumed_to_the_same_bytes(tmp_path, damage):
    finished(tmp_path / "whole")
    killed = write_all(tmp_path / "query", stop=14)  # never closed, as after SIGKILL
    partial = str(tmp_path / ".query.partial" / "features.npy")
    damage(partial)
    assert not (tmp_path / "query").exists()
    write_all(tmp_path / "query", start=14).finish(columns_of(range(20)), {"model": "m"})
    assert contents(tmp_path / "query") == contents(tmp_path / "whole")
    killed.close()


def test_a_process_killed_at_any_time_is_resumed_to_the_same_bytes(tmp_path):
    """A real SIGKILL, within a write of rows and within a write of the record."""
    finished(tmp_path / "whole")
    script = """
import os, signal, sys
import numpy as np
from slim_retrieval.common import feature_store, files
table = np.random.RandomState(0).randn(100, 5).astype(np.float32) * 37
writer = feature_store.FeatureWriter(sys.argv[1], 5, "k")
writer.append(table[:7], 7)
if sys.argv[2] == "record":
    os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    writer.append(table[7:14], 7)
else:
    feature_store.write_json = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    writer.append(table[7:14], 7)
"""
    for moment in ("record", "rows"):
        folder = tmp_path / moment
        done = subprocess.run([sys.executable, "-c", script, str(folder), moment])
        assert done.returncode == -9 and not folder.exists()
        write_all(folder, start=7).finish(columns_of(range(20)), {"model": "m"})
        assert contents(folder) == contents(tmp_path / "whole")
        assert not (tmp_path / ".{}.partial".format(moment)).exists()


@pytest.mark.parametrize("moment", [1, 2])
def test_killed_while_it_is_put_in_place(tmp_path, monkeypatch, moment):
    """Before the first rename the old store is whole; between the two nothing is lost and nothing is done twice."""
    folder = tmp_path / "query"
    finished(folder, stop=8, key="old")
    old = contents(folder)
    writer = write_all(folder)
    replace, calls = os.replace, []

    def stop(source, target):
        if str(folder) in (source, target):
            calls.append(source)
            if len(calls) == moment:
                raise SystemError("killed")
        replace(source, target)
    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(SystemError):
        writer.finish(columns_of(range(20)), {"model": "m"})
    monkeypatch.undo()
    assert contents(folder) == old if moment == 1 else not folder.exists()
    write_all(folder, start=20).finish(columns_of(range(20)), {"model": "m"})
    finished(tmp_path / "whole")
    assert contents(folder) == contents(tmp_path / "whole")
    assert sorted(os.listdir(str(tmp_path))) == ["query", "whole"]


@pytest.mark.parametrize("change", ["key", "width", "rows lost", "record lost"])
def test_what_cannot_be_resumed_begins_anew(tmp_path, change):
    write_all(tmp_path / "query", stop=14).close()
    partial = tmp_path / ".query.partial"
    if change == "rows lost":  # a power cut: the record reached the disk, the rows did not
        os.truncate(str(partial / "features.npy"), 100)
    if change == "record lost":
        (partial / "progress.json").unlink()
    writer = FeatureWriter(str(tmp_path / "query"), WIDTH + (change == "width"), "other" if change == "key" else "k")
    assert writer.next_row == 0 and writer.skipped == []
    writer.close()


def test_a_resumed_writer_remembers_what_was_skipped(tmp_path):
    writer = FeatureWriter(str(tmp_path / "query"), WIDTH, "k")
    writer.append(features_of(0, 3), 4, ["images/3.jpg"])
    writer.close()
    writer = FeatureWriter(str(tmp_path / "query"), WIDTH, "k")
    assert writer.next_row == 4 and writer.skipped == ["images/3.jpg"]
    writer.append(features_of(4, 5), 1)
    writer.finish(columns_of([0, 1, 2, 4]), {})
    assert np.load(str(tmp_path / "query" / "features.npy")).shape == (4, WIDTH)


def test_another_store_takes_the_place_of_the_old_one_at_the_end(tmp_path):
    folder = tmp_path / "query"
    finished(folder, stop=8, key="old")
    old = contents(folder)
    writer = write_all(folder, key="new")
    assert contents(folder) == old
    assert feature_store.is_current(str(folder), "old") and not feature_store.is_current(str(folder), "new")
    writer.finish(columns_of(range(20)), {})
    assert feature_store.is_current(str(folder), "new") and not feature_store.is_current(str(folder), "old")
    assert np.load(str(folder / "features.npy")).shape == (20, WIDTH) and os.listdir(str(tmp_path)) == ["query"]


def test_nothing_is_current_before_it_is_there(tmp_path):
    assert not feature_store.is_current(str(tmp_path / "query"), "k")
    write_all(tmp_path / "query").close()
    assert not feature_store.is_current(str(tmp_path / "query"), "k") and not (tmp_path / "query").exists()


@pytest.mark.parametrize("bad, length", [(np.nan, "nan"), (np.inf, "inf"), (0.0, "0.0")])
def test_bad_features_are_refused_and_not_recorded(tmp_path, bad, length):
    writer = write_all(tmp_path / "query", stop=7)
    features = features_of(7, 10).copy()
    features[1] = bad
    with pytest.raises(InputError) as caught:
        writer.append(features, 3)
    assert str(caught.value) == "the network gives a feature of length {} for row 8 of {}; were its weights trained " \
                                "to NaN, or does extraction.precision float16, whose numbers end at 65504, not " \
                                "hold its activations?".format(length, tmp_path / "query")
    writer.close()
    assert FeatureWriter(str(tmp_path / "query"), WIDTH, "k").next_row == 7


@pytest.mark.parametrize("shape", [(3, WIDTH + 1), (3, 0), (WIDTH,), (1, 2, WIDTH)])
def test_features_of_another_shape(tmp_path, shape):
    writer = FeatureWriter(str(tmp_path / "query"), WIDTH, "k")
    with pytest.raises(ValueError, match="expected features .m, 5., got "):
        writer.append(np.ones(shape, np.float32), 3)
    writer.close()


def test_an_index_of_another_length_is_never_written(tmp_path):
    writer = write_all(tmp_path / "query")
    with pytest.raises(ValueError, match="column label has 19 values for 20 features"):
        writer.finish(dict(columns_of(range(20)), label=["x"] * 19), {})
    writer.close()
    assert not (tmp_path / "query").exists()


def test_a_full_disk_keeps_what_was_recorded(tmp_path):
    script = """
import resource, signal, sys
import numpy as np
from slim_retrieval.common.errors import command
from slim_retrieval.common.feature_store import FeatureWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))
@command
def main():
    writer = FeatureWriter(sys.argv[1], 1000, "k")
    try:
        for _ in range(100):
            writer.append(np.ones([3, 1000], np.float32), 3)
    finally:
        writer.close()
main()
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "query")], stderr=subprocess.PIPE,
                          text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and done.stderr.startswith(
        "error: no space left while writing {}".format(tmp_path))
    assert not (tmp_path / "query").exists()
    # 50,000 bytes hold the header and four times three rows of 4,000 bytes
    assert FeatureWriter(str(tmp_path / "query"), 1000, "k").next_row == 12


def test_index_reads_back_as_written(tmp_path):
    values = ["a.jpg", "with, comma", 'with "quotes"', "two\nlines", "\u00e9\u4e2d", " spaces ", ""]
    writer = FeatureWriter(str(tmp_path / "query"), 1, "k")
    writer.append(np.ones([len(values), 1]), len(values))
    writer.finish({"path": values, "label": [""] * len(values)}, {})
    index = feature_store.read_index(str(tmp_path / "query" / "index.csv"))
    assert list(index) == ["path", "label"] and index == {"path": values, "label": [""] * len(values)}


def test_index_from_a_spreadsheet(tmp_path):
    (tmp_path / "index.csv").write_bytes(b"\xef\xbb\xbflabel,path\r\nx,a.jpg\r\n\r\ny,b.jpg\r\n")
    assert feature_store.read_index(str(tmp_path / "index.csv")) == {"label": ["x", "y"], "path": ["a.jpg", "b.jpg"]}


@pytest.mark.parametrize("content, message", [
    (None, "^no .*index.csv; extract features first$"),
    (b"", "expected a column 'path' and no column twice, got nothing$"),
    (b"file,label\na,b\n", "expected a column 'path' and no column twice, got .'file', 'label'.$"),
    (b"path,label,label\na,b,c\n", "expected a column 'path' and no column twice, got .'path', 'label', 'label'.$"),
    (b"path,label\na.jpg,x\nb.jpg\n", r"index.csv: row 2 \(b.jpg\) has 1 values, the header has 2$"),
    (b"path\na.jpg,x\n", r"index.csv: row 1 \(a.jpg\) has 2 values, the header has 1$"),
    (b"path\n\xe9.jpg\n", "index.csv is not UTF-8: ")])
def test_index_errors(tmp_path, content, message):
    if content is not None:
        (tmp_path / "index.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        feature_store.read_index(str(tmp_path / "index.csv"))
