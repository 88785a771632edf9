import os

import plot
import pytest

from slim_retrieval.common.errors import InputError

GRAPH = """set,n,d,method,seconds,processor,peak_mb,recall,setting,note,machine
generator,10000,64,ours_lists,1,2,30,.96,,,"a processor, 2 threads"
generator,100000,64,ours_lists,12,20,300,.95,,,"a processor, 2 threads"
generator,10000,64,sklearn,4,8,10,1,,,"a processor, 2 threads"
generator,100000,64,sklearn,,,,,,"left out: 400 s expected, more than 300",
generator,10000,128,sklearn,9,8,10,1,,,"a processor, 2 threads"
"""
DIFFUSION = "n,d,edges,scipy,product,solve\n10,4,9,3,1,7\n20,4,9,6,2,14\n"
RERANK = "method,n,d,seconds,peak_mb,mAP\ncfa,50,4,6,7,.5\ncfa:graph,50,4,2,,\ntruncated,50,4,60,9,\n"


def written(tmp_path, text, name="table.csv"):
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def test_other_widths_make_other_figures_and_what_is_left_out_is_said(tmp_path):
    (name, figure, rows), (other, _, few) = plot.figures(written(tmp_path, GRAPH))
    assert (name, len(rows), other, len(few)) == ("table-generator-64", 4, "table-generator-128", 1)
    assert {key: len(value) for key, value in plot.lines_of(figure, rows).items()} == {"ours_lists": 2, "sklearn": 2}
    assert plot.heading(figure, rows)[1:] == ["set generator, 64 dimensions", "a processor, 2 threads"]
    assert plot.heading(figure, few, "elsewhere")[1:] == ["set generator, 128 dimensions, 10,000 images", "elsewhere"]
    assert plot.footnote(figure, rows) == "sklearn at 100,000: left out: 400 s expected, more than 300"


def test_several_points_of_one_row_are_told_apart_and_stages_left_out(tmp_path):
    (_, _, rows), = plot.figures(written(tmp_path, DIFFUSION))
    assert [(row["n"], row["what"], row["seconds"]) for row in rows[:3]] == [
        ("10", "product, SciPy", "3"), ("10", "product, ours", "1"), ("10", "solver, 24 products", "7")]
    (_, _, rows), = plot.figures(written(tmp_path, RERANK))
    assert [row["method"] for row in rows] == ["cfa", "truncated"]


def test_sizes_are_numbers_and_cells_are_told_by_name():
    assert plot.positions(["200", "30", "200"]) == {"30": 30, "200": 200}
    assert plot.positions(["1", "100-30", "10"]) == {"1": 0, "100-30": 1, "10": 2}


@pytest.mark.parametrize("text,message", [("", "has no rows"), ("a,b\n1,2\n", "has the columns a, b"), (
    "\n".join([GRAPH.split("\n")[0], GRAPH.split("\n")[4]]), "nothing was measured")])
def test_a_table_of_which_no_figure_is_made_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        plot.figures(written(tmp_path, text))


def test_figures_are_files_of_their_kind(tmp_path):
    pytest.importorskip("matplotlib", minversion="3.7")
    tables = [written(tmp_path, *table) for table in ((GRAPH, "g.csv"), (DIFFUSION, "d.csv"), (RERANK, "r.csv"))]
    plot.main(tables + ["--output", str(tmp_path / "f")])
    assert sorted(os.listdir(str(tmp_path / "f"))) == [
        "d-4.svg", "g-generator-128.svg", "g-generator-64.svg", "r-4.svg"]
    text = (tmp_path / "f" / "g-generator-64.svg").read_text()
    assert text.count('id="line2d') > 4 and len(text) < 100000
    plot.main(tables[:1] + ["--output", str(tmp_path / "again")])
    assert (tmp_path / "again" / "g-generator-64.svg").read_text() == text  # nothing of the time of day in it
