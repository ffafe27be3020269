import errno
import os

import pytest

from capsnet.demo.gallery import Gallery, find_runs, find_sources


def test_runs_and_weights_files_have_short_names(tiny_run):
    assert Gallery([str(tiny_run.folder)]).names == ["tiny"]
    assert Gallery([str(tiny_run.weights_path)]).names == ["tiny"]


def test_networks_of_the_same_name_are_told_apart(tiny_run):
    sources = [str(tiny_run.folder), str(tiny_run.weights_path)]
    assert Gallery(sources).names == sources


def test_a_network_is_loaded_once(tiny_run):
    gallery = Gallery([str(tiny_run.folder)])
    assert gallery.get("tiny") is gallery.get("tiny")


def test_an_unknown_network_is_named(tiny_run):
    with pytest.raises(ValueError, match="unknown network 'x'; known: tiny"):
        Gallery([str(tiny_run.folder)]).get("x")


def test_nothing_to_show_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="capsnet train"):
        Gallery(find_runs(tmp_path / "runs"))


def test_runs_with_weights_are_found_newest_first(tmp_path):
    for number, name in enumerate(("old", "new", "unfinished")):
        (tmp_path / name).mkdir()
        if name != "unfinished":
            (tmp_path / name / "weights.safetensors").write_bytes(b"")
            os.utime(tmp_path / name / "weights.safetensors", (number, number))
    assert find_runs(tmp_path) == [str(tmp_path / "new"), str(tmp_path / "old")]


def test_a_networks_pose_dimension_is_known(tiny_run):
    assert Gallery([str(tiny_run.folder)]).get("tiny").pose_dim == 16


def test_a_folder_of_runs_that_cannot_be_read_is_named(monkeypatch, tmp_path):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    with pytest.raises(ValueError, match=r"cannot be read \(Permission denied\)"):
        find_runs(tmp_path)


def test_what_comes_with_the_package_goes_first(monkeypatch, tmp_path):
    monkeypatch.setattr("capsnet.demo.gallery.list_pretrained", lambda: ["shipped"])
    assert find_sources(tmp_path) == ["shipped"]
