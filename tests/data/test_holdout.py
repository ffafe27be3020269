import pytest
import torch

from capsnet.data.holdout import check_limit, hash_images, hash_names, hold_out_by_hash
from capsnet.errors import UserError


def names(count, label="a"):
    return [f"{label}/{number}.png" for number in range(count)]


def split(names, share, salt="test"):
    """Names that are held out, of classes that are their first letters."""
    labels = torch.tensor([ord(name[0]) for name in names])
    _, held = hold_out_by_hash(hash_names(names), labels, share, salt=salt)
    return {names[k] for k in held.tolist()}


def test_one_more_image_moves_no_other():
    before = names(200) + names(100, "b")
    held = split(before, 0.2)
    for new in ("a/-1.png", "a/1000.png", "b/new.png"):
        assert split([new, *before], 0.2) - {new} == held


def test_order_and_position_do_not_matter():
    every = names(50) + names(50, "b")
    assert split(every[::-1], 0.3) == split(every, 0.3)


def test_about_the_share_of_each_class_is_held_out():
    held = split(names(2000) + names(1000, "b"), 0.2)
    # four standard deviations of binomial draws
    assert abs(sum(name[0] == "a" for name in held) - 400) < 72
    assert abs(sum(name[0] == "b" for name in held) - 200) < 51


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_each_class_is_in_both_parts(share):
    every = names(5) + names(2, "b")
    held = split(every, share)
    assert {name[0] for name in held} == {name[0] for name in set(every) - held} == {"a", "b"}


def test_the_only_image_of_a_class_is_never_held_out():
    for salt in map(str, range(20)):
        assert "b/0.png" not in split([*names(10), "b/0.png"], 0.9, salt)


def test_a_number_is_met_with_classes_in_proportion():
    held = split(names(60) + names(30, "b") + names(3, "c"), 31)
    assert len(held) == 31
    assert [sum(name[0] == label for name in held) for label in "abc"] == [20, 10, 1]


def test_a_number_that_leaves_a_class_without_images_is_refused():
    with pytest.raises(UserError, match="2 classes without an image"):
        split(names(5) + names(5, "b"), 9)


def test_another_salt_gives_another_split():
    assert split(names(100), 0.3) != split(names(100), 0.3, "validation 1")


def test_both_ways_to_write_an_accent_are_one_name():
    assert hash_names(["caf\u00e9"]).equal(hash_names(["cafe\u0301"]))


def test_names_that_are_not_utf8_have_a_hash():
    assert len(hash_names(["a\udcff.png"])) == 1


def test_equal_images_are_held_out_together():
    images = torch.arange(400, dtype=torch.uint8).view(100, 1, 2, 2)
    images = torch.cat([images, images])
    _, held = hold_out_by_hash(hash_images(images), torch.zeros(200, dtype=torch.long), 0.3, salt="test")
    assert 0 < len(held) < 200
    assert {k % 100 for k in held.tolist() if k < 100} == {k % 100 for k in held.tolist() if k >= 100}


def test_fewer_images_than_classes_are_refused_by_the_name_of_the_option():
    with pytest.raises(UserError, match="limit must be at least 5, one of each class, got 3"):
        check_limit("limit", 3, torch.arange(100) % 5)
    check_limit("limit", 5, torch.arange(100) % 5)
