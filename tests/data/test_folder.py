import shutil

import pytest
from PIL import Image

from capsnet.data import load_data
from capsnet.errors import UserError


def test_colour_photos_of_mixed_sizes_become_one_data_set(photos):
    dataset = load_data(str(photos), image_size=24)
    assert dataset.train.class_names == ("blue sky", "grass", "rose")
    assert dataset.train.image_shape == (3, 24, 24)
    assert dataset.train.counts() == [12, 12, 12]
    assert dataset.test.counts() == [3, 3, 3]


def test_split_is_the_same_each_time(photos):
    one, two = (load_data(str(photos), image_size=24) for _ in range(2))
    assert one.test.images.equal(two.test.images)


def test_grey_images_stay_grey(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new("L", (20, 30), 40 * number).save(tmp_path / name / f"{number}.png")
    assert load_data(str(tmp_path)).train.image_shape == (1, 32, 32)


def test_train_and_test_folders_keep_their_split(tmp_path, photos):
    shutil.copytree(photos, tmp_path / "train")
    shutil.copytree(photos, tmp_path / "test")
    dataset = load_data(str(tmp_path))
    assert len(dataset.train) == len(dataset.test) == 45


@pytest.fixture
def copy(tmp_path, photos):
    shutil.copytree(photos, tmp_path / "photos")
    return tmp_path / "photos"


def test_unreadable_files_are_named_and_may_be_skipped(copy):
    (copy / "rose" / "notes.txt").write_text("thorns")
    (copy / "rose" / "cut.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(UserError, match=r"cut\.png: is .* \(and 1 more files\); remove it, .*--skip-unreadable"):
        load_data(str(copy))
    assert len(load_data(str(copy), skip_unreadable=True).train) == 36


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: [shutil.rmtree(folder / name) for name in ("rose", "grass")], "holds one class folder"),
        (lambda folder: [shutil.rmtree(path) for path in folder.iterdir()], "holds no class folders"),
        (lambda folder: [path.unlink() for path in (folder / "rose").iterdir()], "rose: holds 0 images"),
        (lambda folder: [path.unlink() for path in sorted((folder / "rose").iterdir())[1:]], "rose: holds 1 images"),
    ],
)
def test_folders_without_enough_are_refused(copy, change, words):
    change(copy)
    with pytest.raises(UserError, match=words):
        load_data(str(copy))


def test_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="unknown data set 'minst'; did you mean 'mnist'"):
        load_data("minst")
