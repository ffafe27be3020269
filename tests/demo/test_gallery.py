import pytest

from capsnet.demo.gallery import Gallery, find_sources


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


def test_nothing_to_show_says_what_to_do():
    with pytest.raises(ValueError, match="capsnet train"):
        Gallery([])


def test_a_networks_pose_dimension_is_known(tiny_run):
    assert Gallery([str(tiny_run.folder)]).get("tiny").pose_dim == 16


def test_what_comes_with_the_package_is_shown_where_nothing_is_named():
    assert "efficient-capsnet-mnist" in find_sources()
