import shutil

import numpy as np
import pytest

from capsnet.errors import UserError
from capsnet.figures.study import draw_study
from capsnet.figures.style import to_png
from capsnet.studies.table import Table


def row(name, errors, paper=None):
    mean = float(np.mean(errors)) if errors else None
    return {
        "name": name,
        "label": f"row {name}",
        "paper": paper,
        "n": len(errors),
        "seeds": list(range(len(errors))),
        "errors": errors,
        "mean": mean,
        "std": 0.1 if len(errors) > 1 else None,
        "wrong": 100,
        "images": 10_000,
        "interval": [mean * 0.9, mean * 1.1] if mean else None,
        "last_mean": mean,
        "last_std": None,
        "parameters": 8,
        "seconds": 1.0,
    }


def table(rows) -> Table:
    words = dict.fromkeys(("study", "budget", "title", "schedule", "source", "command"), "words")
    lists = {"machines": [], "commits": [], "versions": [], "comparisons": [], "changes": {}}
    return {**words, **lists, "validated": False, "seconds": 1.0, "rows": rows}


PAPER = {"error": 0.25, "std": 0.005, "n": 3}


@pytest.mark.parametrize("errors", [[2.0, 2.2, 1.9], [0.25], []])
def test_points_stand_at_the_means_and_the_papers_numbers(tmp_path, errors):
    figure = draw_study(table([row("a", errors, PAPER), row("b", [3.0])]), tmp_path)
    lines = [line for axes in figure.axes for line in axes.lines]
    marked = {gid: [line.get_xdata()[0] for line in lines if line.get_gid() == gid] for gid in ("ours", "paper")}
    assert marked["ours"] == [*([np.mean(errors)] if errors else []), 3.0]
    assert marked["paper"] == [0.25]
    assert to_png(figure).startswith(b"\x89PNG")


def test_a_mean_equal_to_the_reported_number_does_not_hide_it(tmp_path):
    figure = draw_study(table([row("a", [0.25], {**PAPER, "std": None})]), tmp_path)
    marked = {line.get_gid(): line.get_ydata()[0] for line in figure.axes[0].lines if line.get_gid()}
    assert marked == {"ours": 0, "paper": -0.24}
    assert [text.get_text() for text in figure.legends[0].texts] == [
        "ours: one seed, 95 % interval (test images)",
        "reported",
    ]


def test_the_legend_says_after_how_many_epochs_the_source_reports(tmp_path):
    figure = draw_study(table([{**row("a", [0.25, 0.3], PAPER), "reported_after": 50}]), tmp_path)
    assert [text.get_text() for text in figure.legends[0].texts] == [
        "ours: mean, 95 % interval (test images)",
        "individual seeds",
        "reported after 50 epochs: mean ± std",
    ]


def test_curves_have_a_band_over_seeds(tiny_run, tmp_path):
    for name in ("a-seed0", "a-seed1", "b-seed0"):
        shutil.copytree(tiny_run.folder, tmp_path / "runs" / name)
    figure = draw_study(table([row("a", [2.0, 2.2]), row("b", [3.0])]), tmp_path, "curves")
    loss, error = figure.axes[-2:]
    assert len(loss.lines) == len(error.lines) == 2
    assert len(loss.collections) == 1
    assert list(loss.lines[0].get_ydata()) == [line["margin_loss"] for line in tiny_run.metrics()]


def test_curves_are_those_of_the_finished_seeds_and_of_rows_with_a_training(tiny_run, tmp_path):
    shutil.copytree(tiny_run.folder, tmp_path / "runs" / "a-seed2")
    rows = [{**row("a", [2.0]), "seeds": [2]}, {**row("together", [1.0]), "networks": 2, "seeds": [0, 1]}]
    loss = draw_study(table(rows), tmp_path, "curves").axes[-2]
    assert [list(line.get_ydata()) for line in loss.lines] == [[line["margin_loss"] for line in tiny_run.metrics()]]


def test_title_that_names_the_data_is_whole_and_pairs_are_named(tmp_path):
    title = "sabour2017-affnist, quick budget, on affnist-like, changed"
    figure = draw_study({**table([{**row("a", [3.0]), "digit_mean": 1.6}]), "title": title}, tmp_path)
    assert title[0].upper() + title[1:] in [text.get_text() for text in figure.texts]
    assert figure.axes[0].get_xlabel() == "exact-pair error, %"


def test_study_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="no run is finished"):
        draw_study(table([row("a", [])]), tmp_path)


@pytest.mark.parametrize(("error", "axes"), [(0.3, 1), (3.0, 2)])
def test_paper_gets_an_axis_of_its_own_where_it_is_far_away(tmp_path, error, axes):
    assert len(draw_study(table([row("a", [error], PAPER), row("b", [error])]), tmp_path).axes) == axes


def test_curves_of_different_lengths_are_drawn_over_the_share_of_the_training(tiny_run, tmp_path):
    for name in ("a-seed0", "b-seed0"):
        shutil.copytree(tiny_run.folder, tmp_path / "runs" / name)
    metrics = tmp_path / "runs" / "b-seed0" / "metrics.csv"
    metrics.write_text("\n".join(metrics.read_text().splitlines()[:3]) + "\n")
    figure = draw_study(table([row("a", [2.0]), row("b", [3.0])]), tmp_path, "curves")
    assert [line.get_xdata()[-1] for line in figure.axes[-1].lines] == [100, 100]
    assert figure.axes[-1].get_xlabel() == "share of the training, %"


def test_legend_of_curves_stays_within_the_figure(tiny_run, tmp_path):
    shutil.copytree(tiny_run.folder, tmp_path / "runs" / "a-seed0")
    figure = draw_study(table([{**row("a", [2.0]), "label": "Efficient-CapsNet-of-2021"}]), tmp_path, "curves")
    figure.canvas.draw()
    assert figure.legends[-1].get_window_extent().x1 <= figure.bbox.x1


def test_long_labels_are_cut_and_told_apart(tmp_path):
    rows = [{**row("a", [1.0]), "label": "x" * 119 + end} for end in "ab"]
    figure = draw_study(table(rows), tmp_path)
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(set(shown)) == 2
    assert to_png(figure).startswith(b"\x89PNG")
