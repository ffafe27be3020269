import pytest
from tests.data.test_tars import pack, sample

from capsnet.data import load_data
from capsnet.data.tar_layout import expand, find_tars, holds_tars
from capsnet.errors import UserError


@pytest.fixture
def save(tmp_path):
    def write(name, keys="ab"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pack([pair for label, key in enumerate(keys) for pair in sample(key, label)]))
        return path

    return write


def names(layout):
    return {split: [file.name for file in files] for split, files in layout.splits.items()}


def test_pattern_counts_and_lists(save, tmp_path):
    for name in ("a-09.tar", "a-10.tar", "b-09.tar", "b-10.tar"):
        save(name)
    assert [path.name for path in expand(tmp_path / "{a,b}-{09..10}.tar")] == [
        "a-09.tar",
        "a-10.tar",
        "b-09.tar",
        "b-10.tar",
    ]


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a-{0..2}.tar", "a-1.tar: no such file"),
        ("a-{2..0}.tar", "ascends"),
        ("a-{0..999999999}.tar", "at most"),
        ("{0..99}{0..99}{0..99}.tar", "more than"),
        ("a-{0.tar", "braces hold"),
    ],
)
def test_pattern_that_names_no_archives_is_refused(save, tmp_path, pattern, reason):
    save("a-0.tar")
    with pytest.raises(UserError, match=reason):
        load_data(str(tmp_path / pattern))


@pytest.mark.parametrize("archives", [("x-train-0.tar", "x-val-0.tar"), ("train/0.tar", "valid/0.tar")])
def test_splits_follow_from_names_of_archives_and_folders(save, tmp_path, archives):
    for archive in archives:
        save(archive)
    files, layout = find_tars(tmp_path)
    assert names(layout) == {
        split: [f"{archive}/{key}.png" for key in "ab"]
        for split, archive in zip(("train", "test"), archives, strict=True)
    }
    assert files.locate(f"{archives[0]}/a.png") == str(tmp_path / archives[0] / "a.png")


def test_archive_without_a_split_beside_others_is_refused(save, tmp_path):
    for name in ("train-0.tar", "test-0.tar", "more.tar"):
        save(name)
    with pytest.raises(UserError, match=r"more.tar names no split"):
        find_tars(tmp_path)


def test_archive_beside_class_folders_is_not_read(save, photos, tmp_path):
    (tmp_path / "rose").mkdir()
    save("photos.tar")
    assert not holds_tars(tmp_path)
    assert holds_tars(tmp_path / "photos.tar")


def test_class_list_names_the_classes(save, tmp_path):
    path = save("a.tar")
    (tmp_path / "classes.txt").write_text("rose\nsky blue\ntulip\n")
    layout = find_tars(path)[1]
    assert layout.class_names == ("rose", "sky blue", "tulip")
    assert [file.label for file in layout.splits["train"]] == [0, 1]
    of_model = find_tars(path, class_names=("sky blue", "oak", "rose"))[1]
    assert [file.label for file in of_model.splits["train"]] == [2, 0]


def test_numbers_are_names_without_a_class_list(save):
    path = save("a.tar")
    assert find_tars(path)[1].class_names == ("0", "1")
    with pytest.raises(UserError, match=r"unknown class '0'; the known classes are rose, sky; .*classes.txt"):
        find_tars(path, class_names=("rose", "sky"))
