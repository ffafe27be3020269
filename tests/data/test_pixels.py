import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from capsnet.data.images import open_image, probe_image
from capsnet.data.pixels import ImageInfo, decide_range
from capsnet.data.reading import prepare_image
from capsnet.errors import UserError

PICTURE = np.add.outer(np.arange(48), np.arange(64)) / 110


def deep(low, high, mode="I;16", name="a.tif"):
    return ImageInfo(name, 8, 8, mode, False, deep=True, low=float(low), high=float(high))


def save(path, values):
    Image.fromarray(values).save(path)
    return path


def read(path, pixel_range=None):
    return np.asarray(open_image(path, color=False, pixel_range=pixel_range), np.int32)


def write_png16(path, values, color_type):
    """A PNG file of 16 bits, which Pillow cannot write in colour."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


@pytest.mark.parametrize(
    ("infos", "right"),
    [
        ([deep(0, 250), deep(0, 300)], (0, 1023)),
        ([deep(0, 1023)], (0, 1023)),
        ([deep(0, 1024), deep(0, 3)], (0, 4095)),
        ([deep(5, 16383)], (0, 16383)),
        ([deep(0, 16384)], (0, 65535)),
        ([deep(-1000, 2000, "I"), deep(0, 3000, "I")], (-1000, 3000)),
        ([deep(0, 70000, "I")], (0, 70000)),
        ([deep(0.0, 0.4, "F")], (0, 1)),
        ([deep(0.0, 0.4, "F"), deep(0, 200.5, "F")], (0, 255)),
        ([deep(-0.25, 0.5, "F")], (-0.25, 0.5)),
        ([deep(-1000.0, 2000, "F"), deep(-1024, 3000, "I")], (-1024, 3000)),
        # an overshoot must not make a picture of 0 to 1 black
        ([deep(0.0, 1.01, "F")], (0, 1.01)),
        ([deep(0, 1023), ImageInfo("b.png", 8, 8, "L", False)], (0, 1023)),
        ([ImageInfo("b.png", 8, 8, "L", False)], None),
        ([], None),
    ],
)
def test_range_is_decided_for_all_files_together(infos, right):
    assert decide_range(infos) == right


def test_range_of_even_images_has_two_ends():
    low, high = decide_range([deep(7.5e9, 7.5e9, "F")])
    assert low < high


def test_floats_up_to_1_beside_larger_integers_are_refused():
    with pytest.raises(UserError, match=r"a\.tif holds floats up to 1, b\.png integers up to 900"):
        decide_range([deep(0, 0.5, "F"), deep(0, 900, name="b.png")])


@pytest.mark.parametrize("pixel_range", [(1.0, 1.0), (2.0, 1.0), (0.0, float("nan")), (float("-inf"), 0.0)])
def test_ranges_out_of_order_are_refused(tmp_path, pixel_range):
    path = save(tmp_path / "a.png", PICTURE.astype(np.uint8))
    with pytest.raises(UserError, match="two finite numbers"):
        open_image(path, color=False, pixel_range=pixel_range)


@pytest.mark.parametrize("high", [1023, 4095, 16383, 65535])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_picture_of_more_bits_equals_that_of_8(tmp_path, high, suffix):
    path = save(tmp_path / f"a.{suffix}", np.rint(PICTURE / PICTURE.max() * high).astype(np.uint16))
    assert np.abs(read(path) - np.rint(PICTURE / PICTURE.max() * 255)).max() <= 1


@pytest.mark.parametrize("high", [1, 255])
def test_a_picture_of_floats_equals_that_of_8_bits(tmp_path, high):
    path = save(tmp_path / "a.tif", (PICTURE / PICTURE.max() * high).astype(np.float32))
    assert np.abs(read(path) - np.rint(PICTURE / PICTURE.max() * 255)).max() <= 1


@pytest.mark.parametrize(("channels", "kind"), [(3, 2), (4, 6), (2, 4)])
@pytest.mark.parametrize("high", [1023, 65535])
def test_colours_of_16_bits_keep_their_lower_8(tmp_path, channels, kind, high):
    values = np.repeat(np.rint(PICTURE / PICTURE.max() * high)[:, :, None], channels, axis=2)
    if channels != 3:
        values[:, :, -1] = 65535
    path = write_png16(tmp_path / "a.png", values, kind)
    assert np.abs(read(path) - np.rint(PICTURE / PICTURE.max() * 255)).max() <= 1
    assert probe_image(path).high == high


def test_signed_values_reach_from_their_smallest_to_their_largest(tmp_path):
    path = save(tmp_path / "ct.tif", np.array([[-1000, 0, 3000]], np.int32))
    assert read(path).tolist() == [[0, 64, 255]]
    assert read(path, (0.0, 1500.0)).tolist() == [[0, 0, 255]]


def test_unsigned_values_of_32_bits_are_no_negative_ones(tmp_path):
    path = save(tmp_path / "a.tif", np.array([[0, 2**31 - 1, -1]], np.int32))
    assert probe_image(path).low == -1
    signed, unsigned = (struct.pack("<HHII", 339, 3, 1, kind) for kind in (2, 1))
    path.write_bytes(path.read_bytes().replace(signed, unsigned))
    assert (probe_image(path).low, probe_image(path).high) == (0, 2**32 - 1)


def test_16_bits_with_white_at_0_are_inverted_as_8_bits_are(tmp_path):
    path = save(tmp_path / "a.tif", np.array([[0, 65535]], np.uint16))
    path.write_bytes(path.read_bytes().replace(struct.pack("<HHII", 262, 3, 1, 1), struct.pack("<HHII", 262, 3, 1, 0)))
    assert read(path).tolist() == [[255, 0]]


def test_a_range_is_for_files_of_more_than_8_bits_only(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 100, 255]], np.uint8))
    assert read(path, (0.0, 4095.0)).tolist() == [[0, 100, 255]]


def test_one_range_gives_two_files_one_scale(tmp_path):
    paths = [save(tmp_path / f"{high}.png", np.full((8, 8), high, np.uint16)) for high in (250, 300)]
    chosen = decide_range(probe_image(path) for path in paths)
    means = [float(prepare_image(path, (1, 8, 8), "fit", pixel_range=chosen).float().mean()) for path in paths]
    assert means == [62, 75]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_are_refused_by_file_name(tmp_path, value):
    values = PICTURE.astype(np.float32)
    values[3, 4] = value
    path = save(tmp_path / "holes.tif", values)
    for call in (probe_image, lambda path: open_image(path, color=True)):
        with pytest.raises(UserError, match=r"holes\.tif has pixels that are not finite"):
            call(path)


def test_floats_for_a_range_of_integers_are_refused(tmp_path):
    path = save(tmp_path / "f.tif", PICTURE.astype(np.float32))
    with pytest.raises(UserError, match=r"f\.tif: its values are 0 to 1, but 0 is black and 4095 is white"):
        open_image(path, color=False, pixel_range=(0.0, 4095.0))


def test_floats_of_255_for_a_range_up_to_1_are_refused(tmp_path):
    path = save(tmp_path / "f.tif", (PICTURE * 255).astype(np.float32))
    with pytest.raises(UserError, match=r"f\.tif: its values are 0 to 255, but 0 is black and 1 is white"):
        open_image(path, color=False, pixel_range=(0.0, 1.0))


def test_transparent_grey_of_16_bits_takes_no_part_in_the_range(tmp_path):
    values = np.array([[0, 500, 65535, 1000]], np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG", transparency=65535)
    info = probe_image(io.BytesIO(buffer.getvalue()))
    assert (info.low, info.high) == (0, 1000)
    assert np.asarray(open_image(io.BytesIO(buffer.getvalue()), color=False)).tolist() == [[0, 125, 255, 249]]


def test_integers_above_255_are_refused_for_a_range_of_0_to_255(tmp_path):
    path = save(tmp_path / "a.png", np.rint(PICTURE / PICTURE.max() * 65535).astype(np.uint16))
    with pytest.raises(UserError, match=r"its values are 0 to 65535, but 0 is black and 255 is white"):
        read(path, (0.0, 255.0))
    # a window of the values, as for computed tomography
    assert read(path, (0.0, 80.0)).max() == 255
