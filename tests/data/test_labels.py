import pytest

from capsnet.data.labels import index_labels, read_class_list
from capsnet.errors import UserError


def test_names_are_classes_in_ascending_order():
    names, labels = index_labels({"train": ["b", "a"], "test": ["c"]}, "x")
    assert names == ("a", "b", "c")
    assert labels == {"train": [1, 0], "test": [2]}


def test_names_take_their_places_in_a_list():
    assert index_labels({"train": ["b", "a"]}, "x", listed=("b", "z", "a"))[1] == {"train": [0, 2]}


@pytest.mark.parametrize(
    ("labels", "listed", "reason"),
    [
        ([0, "a"], None, "all numbers or all names"),
        ([0, 0], None, "at least two classes"),
        ([0, 10**30], None, "below 65,536"),
        ([-1, 1], None, "0 to 1"),
        ([0, 2], ("a", "b"), "0 to 1, got 2"),
        (["a", "c"], ("a", "b"), "unknown class 'c'"),
        (["a", "b\nc"], None, "printable"),
        (["a", "b" * 999], None, "1 to 256"),
    ],
)
def test_labels_that_fit_no_classes_are_refused(labels, listed, reason):
    with pytest.raises(UserError, match=reason) as caught:
        index_labels({"train": labels}, "x", listed)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("content", "reason"), [(b"a\na\n", "'a' is there twice"), (b"a\n\nb\n", "1 to 256"), (b"\xff\xfe", "UTF-8")]
)
def test_list_of_classes_is_checked(tmp_path, content, reason):
    path = tmp_path / "classes.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        read_class_list(path)
