import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from capsnet import UserError
from capsnet.data.mask_folder import read_mask_folder


def write(root, name, mask, image=None, suffix=".png"):
    mask = np.asarray(mask, dtype=np.uint8)
    for kind in ("images", "masks"):
        (root / kind).mkdir(exist_ok=True)
    pixels = np.full(mask.shape[:2], 51, dtype=np.uint8) if image is None else np.asarray(image, dtype=np.uint8)
    Image.fromarray(pixels).save(root / "images" / f"{name}.png")
    Image.fromarray(mask).save(root / "masks" / f"{name}{suffix}")


def test_a_pixel_belongs_to_the_class_of_its_value(tmp_path):
    write(tmp_path, "b", [[0, 2], [1, 2]])
    write(tmp_path, "a", [[0, 0], [0, 1]])
    data = read_mask_folder(tmp_path, class_names=("cup", "lid"))
    assert (len(data), data.files, data.image_shape) == (2, ("images/a.png", "images/b.png"), (1, 2, 2))
    image, masks = data[1]
    torch.testing.assert_close(image, torch.full((1, 2, 2), 0.2))
    assert masks.tolist() == [[[False, False], [True, False]], [[False, True], [False, True]]]


def test_the_numbers_of_a_palette_are_the_classes(tmp_path):
    write(tmp_path, "a", [[0, 1], [2, 1]])
    file = tmp_path / "masks" / "a.png"
    with Image.open(file) as image:
        mask = Image.fromarray(np.asarray(image), mode=None)
    mask = mask.convert("P")
    mask.putdata([0, 1, 2, 1])
    mask.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    mask.save(file)
    assert read_mask_folder(tmp_path).masks.tolist() == [[[0, 1], [2, 1]]]


def test_white_is_the_class_of_black_and_white_masks(tmp_path):
    write(tmp_path, "a", [[0, 255], [255, 0]])
    data = read_mask_folder(tmp_path)
    assert data.class_names == ("1",)
    assert data[0][1].tolist() == [[[False, True], [True, False]]]


def test_images_of_several_sizes_are_scaled(tmp_path):
    write(tmp_path, "a", [[0, 3]])
    write(tmp_path, "b", np.zeros((5, 3)), image=np.zeros((5, 3, 3)))
    with pytest.raises(UserError, match=r"b.png has 3x5 pixels, a.png 2x1; scale all with size="):
        read_mask_folder(tmp_path)
    data = read_mask_folder(tmp_path, size=(2, 4))
    assert data.image_shape == (3, 2, 4)
    assert data.masks[0].tolist() == [[0, 0, 3, 3]] * 2


@pytest.mark.parametrize(
    ("mask", "options", "message"),
    [
        (np.zeros((2, 2, 3)), {}, "a.png has mode RGB; a mask is an 8-bit grey or palette image"),
        (np.zeros((2, 2)), {}, "masks marks nothing: all pixels are 0"),
        ([[0, 1], [0, 255]], {}, "a.png has the value 255; 255 marks unlabelled pixels"),
        ([[0, 1], [0, 3]], {"class_names": ("cup", "lid")}, "a.png has the value 3; class_names has 2 names"),
        ([[0, 1]], {"size": (0, 4)}, "size must be a height and a width of at least 1"),
    ],
)
def test_masks_that_are_no_class_numbers_are_refused(tmp_path, mask, options, message):
    write(tmp_path, "a", mask)
    with pytest.raises(UserError, match=message):
        read_mask_folder(tmp_path, **options)


def test_a_mask_of_another_size_is_refused(tmp_path):
    write(tmp_path, "a", [[0, 1]], image=np.zeros((2, 2)))
    with pytest.raises(UserError, match=r"a\.png has 2x1 pixels, its image 2x2; they must be equal"):
        read_mask_folder(tmp_path)


def test_files_without_a_partner_are_refused(tmp_path):
    with pytest.raises(UserError, match="has no folder images/; it needs images/ and masks/"):
        read_mask_folder(tmp_path)
    write(tmp_path, "a", [[0, 1]])
    (tmp_path / "masks" / "a.png").rename(tmp_path / "masks" / "b.png")
    with pytest.raises(UserError, match=r"b\.png has no image of the same name"):
        read_mask_folder(tmp_path)
    (tmp_path / "masks" / "b.png").unlink()
    with pytest.raises(UserError, match=r"a\.png has no mask; save it as masks/a\.png"):
        read_mask_folder(tmp_path)


def test_a_mask_that_compression_changes_is_refused(tmp_path):
    write(tmp_path, "a", [[0, 1]], suffix=".jpg")
    with pytest.raises(UserError, match=r"a\.jpg is not exact: its format changes class numbers; save masks as PNG"):
        read_mask_folder(tmp_path)


def test_a_small_object_that_scaling_removes_keeps_its_class(tmp_path):
    mask = np.zeros((8, 8))
    mask[0, 0], mask[4:, :] = 2, 1
    write(tmp_path, "a", mask)
    data = read_mask_folder(tmp_path, size=(2, 2))
    assert data.class_names == ("1", "2")
    assert data.masks.unique().tolist() == [0, 1]


def test_a_class_that_scaling_removes_does_not_make_255_the_one_class(tmp_path):
    mask = np.zeros((8, 8))
    mask[0, 0], mask[4:, :] = 1, 255
    write(tmp_path, "a", mask)
    with pytest.raises(UserError, match="255 marks unlabelled pixels"):
        read_mask_folder(tmp_path, size=(2, 2))


def test_grey_levels_are_no_class_numbers(tmp_path):
    write(tmp_path, "a", [[0, 38], [75, 113]])
    with pytest.raises(UserError, match="have the values 38, 75, 113, of 113 classes; number the classes 1, 2"):
        read_mask_folder(tmp_path)
    assert len(read_mask_folder(tmp_path, class_names=[f"class {k}" for k in range(113)]).class_names) == 113


def test_classes_txt_names_the_classes(tmp_path):
    write(tmp_path, "a", [[0, 2]])
    (tmp_path / "classes.txt").write_text("cup\nlid\n")
    assert read_mask_folder(tmp_path).class_names == ("cup", "lid")
    write(tmp_path, "a", [[0, 3]])
    with pytest.raises(UserError, match=r"a\.png has the value 3; classes\.txt has 2 names"):
        read_mask_folder(tmp_path)
    # as Windows' editor saves UTF-8
    (tmp_path / "classes.txt").write_bytes("\ufeffcup\r\nlid\r\nbox\r\n".encode())
    assert read_mask_folder(tmp_path).class_names == ("cup", "lid", "box")
    (tmp_path / "classes.txt").write_text("cup\ncup\n")
    with pytest.raises(UserError, match=r"classes\.txt: the class name 'cup' is there twice"):
        read_mask_folder(tmp_path)


def test_white_is_no_class_of_several(tmp_path):
    write(tmp_path, "a", [[0, 255], [255, 0]])
    with pytest.raises(UserError, match=r"a.png has the value 255; 255 marks unlabelled pixels"):
        read_mask_folder(tmp_path, class_names=("cup", "lid"))
    assert read_mask_folder(tmp_path, class_names=("cup",)).masks.tolist() == [[[0, 1], [1, 0]]]


def test_range_of_deep_images_is_decided_once_for_all_and_kept(tmp_path):
    for name, level in (("a", 900), ("b", 1100)):
        write(tmp_path, name, [[0, 1], [1, 0]])
        Image.fromarray(np.array([[0, level], [level, 0]], np.uint16)).save(tmp_path / "images" / f"{name}.png")
    data = read_mask_folder(tmp_path)
    assert data.pixel_range == (0, 4095)
    assert [int(image.max()) for image in data.images] == [round(255 * level / 4095) for level in (900, 1100)]
    darker = read_mask_folder(tmp_path, pixel_range=(0.0, 8190.0))
    assert int(darker.images[0].max()) == round(255 * 900 / 8190)
    assert replace(data, pixel_range=None).pick(torch.tensor([0])).pixel_range is None


def grey_png(bits, rows):
    """A grey PNG of fewer than 8 bits, which Pillow does not write."""
    width = len(rows[0])
    lines = []
    for row in rows:
        padded = [*row, *[0] * (-len(row) % (8 // bits))]
        numbers = [padded[start : start + 8 // bits] for start in range(0, len(padded), 8 // bits)]
        lines.append(bytes([0, *(sum(n << (8 - bits * (k + 1)) for k, n in enumerate(some)) for some in numbers)]))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), bits, 0, 0, 0, 0))]
    parts += [(b"IDAT", zlib.compress(b"".join(lines))), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("bits", [2, 4])
def test_masks_of_few_bits_hold_their_numbers(tmp_path, bits):
    write(tmp_path, "a", [[0, 1, 2], [3, 1, 0]])
    (tmp_path / "masks" / "a.png").write_bytes(grey_png(bits, [[0, 1, 2], [3, 1, 0]]))
    assert read_mask_folder(tmp_path).masks.tolist() == [[[0, 1, 2], [3, 1, 0]]]


def test_masks_of_a_portable_map_hold_their_numbers(tmp_path):
    write(tmp_path, "a", [[0, 1], [2, 5]])
    (tmp_path / "masks" / "a.png").unlink()
    (tmp_path / "masks" / "a.pgm").write_bytes(b"P5 2 2 5\n" + bytes([0, 1, 2, 5]))
    assert read_mask_folder(tmp_path).masks.tolist() == [[[0, 1], [2, 5]]]
