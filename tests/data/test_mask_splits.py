import numpy as np
import pytest
from PIL import Image
from tests.data.test_mask_folder import write

from capsnet import UserError
from capsnet.data.mask_splits import hold_out_validation, load_masks, read_masks_for, survey_masks


@pytest.fixture
def folder(tmp_path):
    for number in range(20):
        mask = np.zeros((4, 6))
        mask[0, : number % 4] = 1
        mask[1, 0] = 2 * (number == 3)
        write(tmp_path, f"{number:02}", mask)
    return tmp_path


def test_pixels_and_images_of_each_class_are_counted(folder):
    survey = survey_masks(folder)
    assert survey.images == (15, 1)
    assert survey.shares == pytest.approx((5 * (1 + 2 + 3) / 480, 1 / 480))
    assert (survey.unmarked, survey.width.low, survey.height.high, survey.color) == (5, 6, 4, False)
    assert survey.present[3] == (1, 2)


def test_survey_and_training_hold_out_the_same_number(folder):
    survey, splits = survey_masks(folder), load_masks(folder, (4, 6))
    assert survey.splits == {"train": len(splits.train), "test": len(splits.test)}
    assert survey.notes == splits.notes
    assert not set(splits.train.files) & set(splits.test.files)


def test_a_new_image_moves_no_other_one(folder):
    before = load_masks(folder, (4, 6))
    write(folder, "new", np.ones((4, 6)))
    after = load_masks(folder, (4, 6))
    assert set(before.test.files) <= set(after.test.files)
    assert set(before.train.files) <= set(after.train.files)


def test_split_folders_are_the_splits(folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("splits")
    for split, value in (("train", 2), ("val", 1), ("test", 0)):
        (root / split).mkdir()
        write(root / split, "a", [[0, value], [1, 1]])
    splits = load_masks(root, (2, 2))
    assert splits.validation is not None
    assert splits.test.masks.tolist() == [[[0, 0], [1, 1]]]
    assert (splits.test.class_names, splits.notes) == (("1", "2"), ())
    assert survey_masks(root).splits == {"train": 1, "validation": 1, "test": 1}


def test_a_test_mask_with_a_class_that_training_lacks_is_refused(tmp_path):
    for split, value in (("train", 1), ("test", 2)):
        (tmp_path / split).mkdir()
        write(tmp_path / split, "a", [[0, value]])
    with pytest.raises(UserError, match=r"a\.png has the value 2; class_names has 1 names"):
        load_masks(tmp_path, (1, 2))


def test_validation_leaves_the_other_images(folder):
    train = load_masks(folder, (4, 6)).train
    kept, held = hold_out_validation(train, 0.25, seed=1)
    assert sorted((*kept.files, *held.files)) == list(train.files)
    assert hold_out_validation(train, 0, seed=1)[1] is None


def test_one_image_cannot_be_split(tmp_path):
    write(tmp_path, "a", [[0, 1]])
    with pytest.raises(UserError, match="holds 1 image with a mask; at least 2 are needed"):
        load_masks(tmp_path, (1, 2))


def test_names_of_classes_may_be_beside_the_split_folders(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        write(tmp_path / split, "a", [[1, 2]])
    (tmp_path / "classes.txt").write_text("cup\nlid\n")
    assert load_masks(tmp_path, (1, 2)).test.class_names == ("cup", "lid")
    assert survey_masks(tmp_path).class_names == ("cup", "lid")
    assert read_masks_for(tmp_path, ("lid", "cup"), (1, 2), color=False).masks.tolist() == [[[2, 1]]] * 2
    (tmp_path / "test" / "classes.txt").write_text("lid\ncup\n")
    with pytest.raises(UserError, match=r"test/classes\.txt and .* name different classes, or in another order"):
        load_masks(tmp_path, (1, 2))


def test_pages_that_are_not_read_are_named(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(3):
        image = Image.new("L", (8, 8), 9)
        image.save(tmp_path / "images" / f"{number}.tif", save_all=True, append_images=[image])
        Image.new("L", (8, 8), number % 2).save(tmp_path / "masks" / f"{number}.png")
    for notes in (load_masks(tmp_path, (8, 8)).notes, survey_masks(tmp_path).notes):
        assert any("3 files have several pages or frames" in note for note in notes)
