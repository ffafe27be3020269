import pytest
from PIL import Image
from tests.data.sounds import write_tone

from capsnet import UserError
from capsnet.data.input_kind import find_input_kind
from capsnet.data.layout import find_layout


def make(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".wav":
            write_tone(path, 500, samples=10)
        else:
            path.touch()
    return root


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["images/a.png", "masks/a.png"], "masks"),
        (["train/images/a.png", "train/masks/a.png", "test/images/b.png"], "masks"),
        (["yes/a.wav", "no/b.WAV"], "recordings"),
        (["yes/a.WAV"], "recordings"),
        (["train/yes/a.wav"], "recordings"),
        (["cats/a.png", "dogs/b.png"], "images"),
        # sounds of photos: images come first, and the WAV file is named as unreadable
        (["cats/a.png", "dogs/b.wav"], "images"),
        (["a.wav"], "images"),
        (["Vowels_TRAIN.ts", "Vowels_TEST.ts"], "series"),
    ],
)
def test_names_of_folders_and_files_tell_the_kind(tmp_path, names, kind):
    assert find_input_kind(make(tmp_path, *names)) == kind


@pytest.mark.parametrize(("name", "kind"), [("x.ts", "series"), ("mnist", "images"), ("x" * 5000, "images")])
def test_a_name_without_a_folder_tells_the_kind_by_its_suffix(name, kind):
    assert find_input_kind(name) == kind


@pytest.mark.parametrize("root", ["", "train"])
def test_images_and_masks_are_no_classes(tmp_path, root):
    for kind in ("images", "masks"):
        (tmp_path / root / kind).mkdir(parents=True)
        Image.new("L", (2, 2)).save(tmp_path / root / kind / "a.png")
    with pytest.raises(UserError, match="a data set for segmentation, not a folder for each class"):
        find_layout(tmp_path)


def test_linked_class_folders_are_looked_into(tmp_path):
    make(tmp_path / "elsewhere", "yes/a.wav", "no/b.wav")
    (tmp_path / "sounds").mkdir()
    for name in ("yes", "no"):
        (tmp_path / "sounds" / name).symlink_to(tmp_path / "elsewhere" / name)
    assert find_input_kind(tmp_path / "sounds") == "recordings"


def test_two_folders_of_masks_for_one_split_are_refused(tmp_path):
    make(
        tmp_path, *(f"{split}/{kind}/a.png" for split in ("train", "val", "validation") for kind in ("images", "masks"))
    )
    with pytest.raises(UserError, match="'val' and 'validation' are both the validation split; keep one"):
        find_input_kind(tmp_path)


def test_a_split_beside_images_and_masks_is_refused(tmp_path):
    make(tmp_path, *(f"{place}{kind}/a.png" for place in ("", "test/") for kind in ("images", "masks")))
    with pytest.raises(UserError, match=r"holds images/ and masks/ beside 'test', a split of its own; move"):
        find_input_kind(tmp_path)
