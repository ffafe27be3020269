import shutil

import pytest

from capsnet.data.layout import find_layout
from capsnet.errors import UserError


@pytest.fixture
def make(tmp_path):
    """A function that makes empty files."""

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        return tmp_path

    return make


def sizes(layout):
    return {split: [file.name for file in files] for split, files in layout.splits.items()}


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "Testing"), ("TRAIN", "tEsT")])
def test_split_folders_are_no_classes_whatever_their_case(make, names):
    train, test = names
    layout = find_layout(make(f"{train}/a/1.png", f"{train}/b/1.png", f"{test}/a/2.png", f"{test}/b/2.png"))
    assert layout.class_names == ("a", "b")
    assert sizes(layout) == {
        "train": [f"{train}/a/1.png", f"{train}/b/1.png"],
        "test": [f"{test}/a/2.png", f"{test}/b/2.png"],
    }
    assert layout.notes == (f"Training images are from {train}/, test images are from {test}/.",)


@pytest.mark.parametrize("name", ["val", "Valid", "VALIDATION"])
def test_validation_folder_is_the_test_split_where_there_is_no_other(make, name):
    folder = make("train/a/1.png", "train/b/1.png", f"{name}/a/2.png", f"{name}/b/2.png")
    layout = find_layout(folder)
    assert sizes(layout)["test"] == [f"{name}/a/2.png", f"{name}/b/2.png"]
    assert f"test images are from {name}/" in layout.notes[0]
    for label in "ab":
        make(f"test/{label}/3.png")
    assert list(sizes(find_layout(folder))) == ["train", "validation", "test"]


def test_train_folder_alone_is_read_without_a_test_split(make):
    layout = find_layout(make("Training/a/1.png", "Training/b/1.png"))
    assert (layout.class_names, list(layout.splits)) == (("a", "b"), ["train"])


def test_files_that_systems_leave_do_not_count(make):
    folder = make("a/1.png", "b/1.png", "a/Thumbs.db", "a/.DS_Store", "a/.ipynb_checkpoints/1-checkpoint.png")
    make("__MACOSX/a/._1.png", ".git/x/1.png", "b/__MACOSX/1.png")
    assert sizes(find_layout(folder)) == {"train": ["a/1.png", "b/1.png"]}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ["train/a/1.png", "train/b/1.png", "test/1.png"],
            r"test holds 1 files but no class.*give .*train as",
        ),
        (["train/1.png", "test/1.png"], r"train holds 1 files but no class folders, so its images have no labels"),
        (["train/a/1.png", "train/b/1.png", "Training/a/1.png"], "'Training' and 'train' are both the train split"),
        (["train/1.png", "cat/1.png", "dog/1.png"], "'train' looks like a split but lies beside 'cat', 'dog'"),
        (["test/a/1.png", "test/b/1.png"], "but no folder 'train' to learn from"),
        (["train/a/1.png", "train/test/1.png", "test/a/1.png"], "the class 'test' looks like a split"),
        (["photos/train/a/1.png", "photos/test/a/1.png"], r"one class folder, 'photos'; did you mean .*photos, which"),
        (["a/1.png"], "holds one class folder, 'a'; at least two are needed"),
        (["1.png"], "holds no class folders, only 1 files"),
        (["train/a/1.png", "train/b/1.png", "test/A/1.png"], "unknown class 'A'; .*the known classes are 'a', 'b'"),
    ],
)
def test_folders_that_are_not_laid_out_are_refused_with_the_remedy(make, names, words):
    with pytest.raises(UserError, match=words):
        find_layout(make(*names))


def test_empty_test_folder_is_refused(make):
    folder = make("train/a/1.png", "train/b/1.png")
    (folder / "test").mkdir()
    with pytest.raises(UserError, match="the test folder is empty"):
        find_layout(folder)


def test_what_is_not_read_is_named(make):
    folder = make("train/a/1.png", "train/b/1.png", "test/a/1.png", "annotations/1.xml", "test/loose.png")
    notes = " ".join(find_layout(folder).notes)
    assert "'annotations' beside the split folders is not read" in notes
    assert "test: not read, in no class folder: 'loose.png'" in notes


def test_any_of_a_models_classes_may_be_there(make):
    layout = find_layout(make("b/1.png"), class_names=("a", "b", "c"))
    assert [(file.name, file.label) for file in layout.splits["train"]] == [("b/1.png", 1)]


def test_class_that_a_model_does_not_know_is_refused(make):
    with pytest.raises(UserError, match="unknown class 'lesions'; did you mean 'lesion'"):
        find_layout(make("lesions/1.png"), class_names=("lesion", "normal"))


def test_a_link_to_a_folder_above_is_followed_once(make):
    folder = make("a/1.png", "b/1.png")
    (folder / "a" / "again").symlink_to(folder / "a")
    assert sizes(find_layout(folder)) == {"train": ["a/1.png", "b/1.png"]}


def test_a_linked_class_folder_is_read(make, tmp_path):
    folder = make("photos/a/1.png", "photos/b/1.png", "elsewhere/2.png") / "photos"
    shutil.rmtree(folder / "b")
    (folder / "b").symlink_to(tmp_path / "elsewhere")
    assert sizes(find_layout(folder)) == {"train": ["a/1.png", "b/2.png"]}


def test_accents_stored_in_two_ways_are_one_class_in_all_splits(make):
    layout = find_layout(make("train/caf\u00e9/1.png", "train/tea/1.png", "test/cafe\u0301/2.png"))
    assert [file.label for file in layout.splits["test"]] == [0]


def test_two_folders_of_one_class_name_are_refused(make):
    folder = make("caf\u00e9/1.png", "cafe\u0301/2.png", "tea/1.png")
    if len(list(folder.iterdir())) < 3:
        pytest.skip("this file system stores both names as one")
    with pytest.raises(UserError, match="two class folders are named 'caf\u00e9'"):
        find_layout(folder)
