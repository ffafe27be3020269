"""The example trains on a small budget, and the tables of its page are those of its measurements."""

from pathlib import Path

import pytest
from tests.examples.test_loops import load

ROOT = Path(__file__).parents[2]


def test_example_segments_a_folder_of_its_own(tmp_path, capsys, monkeypatch):
    example = load("segmentation")
    write = example.write_shapes
    monkeypatch.setattr(example, "write_shapes", lambda folder: write(folder, count=20))
    score = example.main(data=None, size=16, steps=8, model="segcaps-small", out=tmp_path)
    assert 0 <= score <= 1
    assert f"on 4 held-out images: {score:.2f}" in capsys.readouterr().out
    assert (tmp_path / "masks.png").read_bytes().startswith(b"\x89PNG")


def test_shapes_differ_in_form_only(tmp_path):
    from capsnet.data.mask_folder import read_mask_folder

    load("segmentation").write_shapes(tmp_path, count=20)
    data = read_mask_folder(tmp_path)
    disc, square = (data.images[:, 0][data.masks == label].float().mean() for label in (1, 2))
    assert float(disc) == pytest.approx(float(square), rel=0.02)


def test_tables_of_the_page_are_those_of_the_measurements(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    import results
    import segmentation

    page = (ROOT / "docs" / "segmentation.md").read_text()
    assert results.put(page, segmentation.MARKS, segmentation.table()) == page
    assert results.put(page, segmentation.MEMORY, segmentation.memory()) == page
