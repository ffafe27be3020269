import shutil

import numpy as np
import pytest
from PIL import Image

from capsnet.data import Dataset, hold_out, load_data
from capsnet.data.folder import read_for_model
from capsnet.data.inputs import Inputs
from capsnet.errors import UserError

CLASSES = ("blue sky", "grass", "rose")


def write_images(folder, counts, size=(20, 30)):
    """Grey images of different levels in class folders."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("L", size, 3 * number + len(name)).save(folder / name / f"{number}.png")
    return folder


def test_colour_photos_of_mixed_sizes_become_one_data_set(photos):
    dataset = load_data(str(photos), image_size=24)
    assert dataset.train.class_names == CLASSES
    assert dataset.train.image_shape == (3, 24, 24)
    total = zip(dataset.train.counts(), dataset.test.counts(), strict=True)
    assert [train + test for train, test in total] == [15, 15, 15]
    assert min(dataset.test.counts()) > 0


def test_split_is_the_same_each_time(photos):
    one, two = (load_data(str(photos), image_size=24) for _ in range(2))
    assert one.test.images.equal(two.test.images)


def test_one_more_photo_moves_no_other_between_splits_and_validation(photos, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "photos")
    before = load_data(str(folder), image_size=8)
    shutil.copy(folder / "rose" / "1.jpg", folder / "rose" / "00 new.jpg")
    after = load_data(str(folder), image_size=8)
    new = {"rose/00 new.jpg"}
    assert set(after.test.files) - new == set(before.test.files)
    one, two = (hold_out(dataset.train, 0.2, seed=0)[1] for dataset in (before, after))
    assert set(two.files) - new == set(one.files)


def test_train_folder_alone_and_its_own_name_hold_out_the_same_files(photos, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "all" / "Training")
    inner, outer = (load_data(str(path), image_size=8) for path in (folder, folder.parent))
    assert {f"Training/{file}" for file in inner.test.files} == set(outer.test.files)
    assert any("There is no test split" in note for note in outer.notes)


def test_grey_images_stay_grey(tmp_path):
    assert load_data(str(write_images(tmp_path / "grey", {"a": 3, "b": 3}))).train.image_shape == (1, 32, 32)


def test_train_and_test_folders_keep_their_split(tmp_path, photos):
    shutil.copytree(photos, tmp_path / "train")
    shutil.copytree(photos, tmp_path / "test")
    dataset = load_data(str(tmp_path))
    assert len(dataset.train) == len(dataset.test) == 45
    assert any("copies in more than one split: 45" in note for note in dataset.notes)


def test_validation_folder_is_the_validation_split(tmp_path):
    for split, count in (("Train", 6), ("Valid", 2), ("TEST", 3)):
        write_images(tmp_path / split, {"a": count, "b": count})
    dataset = load_data(str(tmp_path))
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [12, 4, 6]
    assert dataset.validation.files[0] == "Valid/a/0.png"


def test_test_split_without_a_class_is_noted(tmp_path):
    write_images(tmp_path / "train", {"a": 6, "b": 6})
    write_images(tmp_path / "test", {"a": 2})
    dataset = load_data(str(tmp_path))
    assert dataset.test.counts() == [2, 0]
    assert "The test split holds no images of b." in dataset.notes


def test_small_and_uneven_classes_are_noted(tmp_path):
    notes = load_data(str(write_images(tmp_path / "uneven", {"rare": 2, "common": 40}))).notes
    assert "Classes with fewer than 5 training images: rare (1)." in notes
    assert any(note.startswith("Classes are imbalanced: ") for note in notes)


def test_files_of_ten_bits_share_one_scale(tmp_path):
    """Values up to 700 in one file and up to 250 in the other: 10 bits in both, and in the data set."""
    for name, high in (("a", 700), ("b", 250)):
        (tmp_path / name).mkdir()
        for number in range(2):
            values = np.full((8, 8), high, np.uint16)
            Image.fromarray(values).save(tmp_path / name / f"{number}.png")
    dataset = load_data(str(tmp_path), image_size=8)
    assert dataset.pixel_range == (0, 1023)
    assert [int(image.max()) for image in dataset.train.images] == [round(255 * high / 1023) for high in (700, 250)]
    given = load_data(str(tmp_path), image_size=8, pixel_range=(0.0, 700.0))
    assert int(given.train.images.max()) == 255


@pytest.fixture
def copy(tmp_path, photos):
    shutil.copytree(photos, tmp_path / "photos")
    return tmp_path / "photos"


def damage(folder):
    """A text file, a file that is cut off in its header, and one in its pixels."""
    (folder / "rose" / "notes.txt").write_text("thorns")
    (folder / "rose" / "cut.png").write_bytes(b"\x89PNG\r\n")
    whole = (folder / "rose" / "0.png").read_bytes()
    (folder / "rose" / "half.png").write_bytes(whole[: len(whole) // 2])
    return folder


def test_unreadable_files_are_named_and_may_be_skipped(copy):
    damage(copy)
    with pytest.raises(UserError, match=r"cut\.png is .* \(and 2 more files\); remove it, .*skip_unreadable=True"):
        load_data(str(copy))
    dataset = load_data(str(copy), skip_unreadable=True)
    assert len(dataset.train) + len(dataset.test) == 45
    assert "3 files that cannot be read were left out: rose/cut.png, rose/notes.txt, rose/half.png." in dataset.notes
    assert len(dataset.survey.left_out) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: [shutil.rmtree(folder / name) for name in ("rose", "grass")], "holds one class folder"),
        (lambda folder: [shutil.rmtree(path) for path in folder.iterdir()], "holds no class folders"),
        (lambda folder: [path.unlink() for path in (folder / "rose").iterdir()], "rose holds 0 images"),
        (lambda folder: [path.unlink() for path in sorted((folder / "rose").iterdir())[1:]], "rose holds 1 images"),
    ],
)
def test_folders_without_enough_are_refused(copy, change, words):
    change(copy)
    with pytest.raises(UserError, match=words):
        load_data(str(copy))


def test_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="unknown data set 'minst'; did you mean 'mnist'"):
        load_data("minst")


def test_folder_that_has_gone_is_named():
    with pytest.raises(UserError, match="elsewhere/photos: no such folder or file; if it was moved"):
        load_data("elsewhere/photos")


def test_survey_has_sizes_modes_and_copies(tmp_path):
    folder = write_images(tmp_path / "all", {"a": 4, "bb": 4}, size=(40, 20))
    Image.new("RGB", (10, 50)).save(folder / "a" / "tall.png")
    shutil.copy(folder / "a" / "0.png", folder / "bb" / "again.png")
    survey = Dataset.from_folder(folder).survey
    assert (survey.width.low, survey.width.median, survey.width.high) == (10, 40, 40)
    assert (survey.aspect.low, survey.aspect.high) == (0.2, 2)
    assert survey.modes == {"L": 9, "RGB": 1}
    assert survey.copies == survey.copies_of_classes == (("a/0.png", "bb/again.png"),)


def test_all_images_are_read_for_a_model_in_its_shape_and_channels(photos):
    data = read_for_model(photos, Inputs((1, 20, 28)), (*CLASSES, "tulip"))
    assert data.image_shape == (1, 20, 28)
    assert data.counts() == [15, 15, 15, 0]
    assert data.files[0] == "blue sky/0.png"


def test_one_class_is_enough_for_a_model(tmp_path):
    data = read_for_model(write_images(tmp_path / "one", {"b": 3}), Inputs((3, 8, 8)), ("a", "b"))
    assert data.labels.tolist() == [1, 1, 1]


def test_split_of_a_folder_is_read_for_a_model(tmp_path):
    for split, count in (("train", 4), ("val", 2)):
        write_images(tmp_path / split, {"a": count})
    sizes = {
        split: len(read_for_model(tmp_path, Inputs((1, 8, 8)), ("a", "b"), split=split))
        for split in ("train", "test", None)
    }
    assert sizes == {"train": 4, "test": 2, None: 6}
    with pytest.raises(UserError, match="has no validation split; it has train, test"):
        read_for_model(tmp_path, Inputs((1, 8, 8)), ("a", "b"), split="validation")


def test_class_that_the_model_does_not_know_is_refused(photos):
    with pytest.raises(UserError, match="unknown class 'rose'; the known classes are 'blue sky', 'grass'"):
        read_for_model(photos, Inputs((3, 8, 8)), CLASSES[:2])


def test_files_left_out_for_a_model_are_noted(copy):
    data = read_for_model(damage(copy), Inputs((3, 8, 8)), CLASSES, skip_unreadable=True)
    assert (len(data), data.notes[0][:40]) == (45, "3 files that cannot be read were left ou")


def test_deep_files_share_one_scale_for_a_model_without_a_range(tmp_path):
    for number, high in enumerate((900, 900, 3000)):
        values = np.full((8, 8), 600, np.uint16)
        values[0, 0] = high
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.fromarray(values).save(tmp_path / "a" / f"{number}.png")
    data = read_for_model(tmp_path, Inputs((1, 8, 8)), ("a", "b"))
    assert data.images[:, 0, 4, 4].tolist() == [round(255 * 600 / 4095)] * 3


def test_a_range_without_deep_files_has_no_effect_and_is_named(tmp_path):
    folder = write_images(tmp_path / "grey", {"a": 4, "b": 4})
    plain, given = load_data(str(folder)), load_data(str(folder), pixel_range=(0.0, 100.0))
    assert given.pixel_range is None
    assert given.train.images.equal(plain.train.images)
    assert any(note.startswith("pixel_range has no effect") for note in given.notes)
