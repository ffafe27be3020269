import os
import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFile

from capsnet.data import formats as module
from capsnet.data.images import FORMATS, SUFFIXES, collect_notes, fit_image, open_image, probe_image
from capsnet.data.reading import prepare_image
from capsnet.errors import UserError


def drawing(path, *, paper, ink, mode="L", size=(200, 160)):
    image = Image.new(mode, size, paper)
    ImageDraw.Draw(image).line([(120, 30), (120, 110)], fill=ink, width=12)
    image.save(path)
    return path


def test_dark_on_light_equals_light_on_dark(tmp_path):
    dark = prepare_image(drawing(tmp_path / "dark.png", paper=255, ink=0), (1, 28, 28), "digit")
    light = prepare_image(drawing(tmp_path / "light.png", paper=0, ink=255), (1, 28, 28), "digit")
    assert dark.equal(light)
    assert light.max() == 255


def test_digit_is_20_high_and_centred_by_mass(tmp_path):
    image = prepare_image(drawing(tmp_path / "one.png", paper=250, ink=20), (1, 28, 28), "digit")[0].float()
    rows = (image.sum(dim=1) > 0).nonzero()[:, 0]
    assert len(rows) == 20
    grid = torch.arange(28.0)
    assert abs(float((image.sum(dim=1) * grid).sum() / image.sum()) - 13.5) <= 0.5
    assert abs(float((image.sum(dim=0) * grid).sum() / image.sum()) - 13.5) <= 0.5


def test_digit_is_20_high_in_a_larger_frame_too(tmp_path):
    image = prepare_image(drawing(tmp_path / "one.png", paper=250, ink=20), (1, 40, 40), "digit")[0]
    assert int((image.amax(dim=1) > 0).sum()) == 20


def test_place_and_size_of_the_drawing_do_not_matter(tmp_path):
    one = Image.new("L", (400, 300), 255)
    ImageDraw.Draw(one).line([(300, 200), (300, 280)], fill=0, width=12)
    one.save(tmp_path / "a.png")
    two = prepare_image(drawing(tmp_path / "b.png", paper=255, ink=0), (1, 28, 28), "digit")
    assert prepare_image(tmp_path / "a.png", (1, 28, 28), "digit").equal(two)


def test_colour_drawing_becomes_grey(tmp_path):
    path = drawing(tmp_path / "c.png", paper=(240, 240, 255), ink=(90, 0, 0), mode="RGB")
    assert prepare_image(path, (1, 28, 28), "digit").shape == (1, 28, 28)


def test_transparent_places_are_paper(tmp_path):
    image = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    ImageDraw.Draw(image).line([(30, 10), (30, 50)], fill=(0, 0, 0, 255), width=6)
    image.save(tmp_path / "t.png")
    seen = prepare_image(tmp_path / "t.png", (1, 28, 28), "digit")
    assert seen[0, 14, 13:15].float().mean() > 150
    assert seen[0, :, 0].max() == 0


def test_empty_drawing_is_black(tmp_path):
    Image.new("L", (50, 50), 255).save(tmp_path / "e.png")
    assert prepare_image(tmp_path / "e.png", (1, 28, 28), "digit").max() == 0


def test_fit_keeps_the_aspect_and_fills_with_the_border(tmp_path):
    Image.fromarray(np.full((10, 40, 3), (10, 200, 30), np.uint8)).save(tmp_path / "wide.png")
    seen = prepare_image(tmp_path / "wide.png", (3, 32, 32), "fit")
    assert seen.shape == (3, 32, 32)
    assert seen[:, 0, 0].tolist() == [10, 200, 30]


def test_sixteen_bit_images_are_scaled_down(tmp_path):
    Image.fromarray(np.full((28, 28), 65535, np.uint16)).save(tmp_path / "deep.png")
    assert prepare_image(tmp_path / "deep.png", (1, 28, 28), "fit").min() == 255


def test_faulty_files_are_named(tmp_path, monkeypatch):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(UserError, match=r"text\.png is not an image"):
        prepare_image(tmp_path / "text.png", (1, 28, 28), "fit")
    with pytest.raises(UserError, match=r"gone\.png: no such file"):
        prepare_image(tmp_path / "gone.png", (1, 28, 28), "fit")
    with pytest.raises(UserError, match="is a folder"):
        prepare_image(tmp_path, (1, 28, 28), "fit")
    whole = drawing(tmp_path / "whole.png", paper=255, ink=0).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"cut\.png is a damaged image"):
        prepare_image(tmp_path / "cut.png", (1, 28, 28), "fit")
    monkeypatch.setattr(module, "MAX_PIXELS", 1000)
    with pytest.raises(UserError, match=r"whole\.png: 200x160 pixels are too many"):
        prepare_image(tmp_path / "whole.png", (1, 28, 28), "fit")


@pytest.mark.filterwarnings("error")
def test_decompression_bomb_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (9000, 9000)).save(tmp_path / "bomb.png")
    with pytest.raises(UserError, match="too many"):
        prepare_image(tmp_path / "bomb.png", (1, 28, 28), "fit")


def test_narrow_strips_keep_a_pixel(tmp_path):
    Image.new("L", (2000, 15), 90).save(tmp_path / "strip.png")
    for preparation in ("fit", "digit"):
        assert prepare_image(tmp_path / "strip.png", (1, 28, 28), preparation).shape == (1, 28, 28)


@pytest.mark.parametrize(("ink", "ground"), [(255, 0), (0, 255), (60, 255), (200, 0)])
def test_transparent_places_contrast_with_the_drawing(tmp_path, ink, ground):
    image = Image.new("LA", (60, 60), (0, 0))
    ImageDraw.Draw(image).line([(30, 10), (30, 50)], fill=(ink, 255), width=6)
    image.save(tmp_path / "t.png")
    seen = np.asarray(open_image(tmp_path / "t.png", color=False))
    assert (seen[0, 0], seen[30, 30]) == (ground, ink)


def test_transparent_corners_of_a_light_page_with_some_ink_are_white(tmp_path):
    image = Image.new("RGBA", (100, 100), (250, 250, 250, 255))
    image.paste((0, 0, 0, 0), (0, 0, 10, 10))
    ImageDraw.Draw(image).line([(50, 20), (50, 80)], fill=(0, 0, 0, 255), width=5)
    image.save(tmp_path / "page.png")
    assert open_image(tmp_path / "page.png", color=False).getpixel((0, 0)) == 255


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16", "I;16B", "PA"])
def test_modes_of_tiff_files_are_read(tmp_path, mode):
    image = Image.new("L", (8, 8), 255)
    image.paste(0, (0, 0, 4, 8))
    deep = {"I": 65535, "F": 1, "I;16": 65535, "I;16B": 65535}
    if mode in deep:
        values = np.asarray(image, np.float64) / 255 * deep[mode]
        kind = {"I": np.int32, "F": np.float32, "I;16": "<u2", "I;16B": ">u2"}[mode]
        image = Image.fromarray(values.astype(kind))
    else:
        image = (image.convert("P") if mode == "PA" else image).convert(mode)
    image.save(tmp_path / "a.tif")
    seen = np.asarray(open_image(tmp_path / "a.tif", color=False), np.int32)
    assert seen[0, [0, 3, 4, 7]].tolist() == pytest.approx([0, 0, 255, 255], abs=1)


def test_cielab_is_refused_with_the_remedy(tmp_path):
    Image.new("LAB", (8, 8)).save(tmp_path / "lab.tif")
    with pytest.raises(UserError, match=r"lab\.tif: its colours are CIELAB; convert it to RGB"):
        open_image(tmp_path / "lab.tif", color=True)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_photos_are_turned_upright(tmp_path, suffix, turn):
    image = Image.new("L", (64, 32), 20)
    image.paste(220, (0, 0, 16, 16))
    exif = Image.Exif()
    exif[274] = turn
    image.convert("RGB").save(tmp_path / f"a.{suffix}", exif=exif)
    seen = open_image(tmp_path / f"a.{suffix}", color=False)
    info = probe_image(tmp_path / f"a.{suffix}")
    assert seen.size == (info.width, info.height) == ((32, 64) if turn >= 5 else (64, 32))
    corner = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}[turn]
    place = tuple(4 if far == 0 else size - 5 for far, size in zip(corner, seen.size, strict=True))
    assert abs(seen.getpixel(place) - 220) < 20


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_a_reduced_image_gives_nearly_the_input_of_the_whole_one(tmp_path, suffix):
    noise = np.random.default_rng(0).normal(0, 20, (1200, 1600, 3))
    waves = 127 + 90 * np.sin(np.add.outer(np.arange(1200) / 70, np.arange(1600) / 90))
    Image.fromarray((waves[:, :, None] + noise).clip(0, 255).astype(np.uint8)).save(tmp_path / f"a.{suffix}")
    for color, channels in ((True, 3), (False, 1)):
        whole = fit_image(open_image(tmp_path / f"a.{suffix}", color=color), 32, 32)
        seen = prepare_image(tmp_path / f"a.{suffix}", (channels, 32, 32), "fit").permute(1, 2, 0).numpy()
        difference = np.abs(seen.squeeze().astype(int) - np.asarray(whole, int))
        assert difference.mean() <= 1
        assert difference.max() <= 4


def test_headers_tell_what_a_file_is(tmp_path):
    frames = [Image.new("RGB", (20, 30), (90 * k, 0, 0)) for k in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    frames[0].convert("L").save(tmp_path / "b.tif", save_all=True, append_images=[Image.new("L", (9, 9))])
    gif, tif = (probe_image(tmp_path / name) for name in ("a.gif", "b.tif"))
    assert (gif.width, gif.height, gif.frames, gif.deep) == (20, 30, 3, False)
    assert gif.notes == (f"{tmp_path / 'a.gif'}: the first of 3 frames is read",)
    assert tif.notes == (f"{tmp_path / 'b.tif'}: the first of 2 pages is read",)
    assert not tif.color
    (note,) = collect_notes([gif, tif])
    assert note.startswith("2 files have several pages or frames, of which the first is read: ")
    assert "a.gif (3)" in note


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.tga", "a.jp2", "a.j2k", "a.avif", "a.webp", "a.ppm", "a.bmp"])
def test_formats_are_read_by_their_endings(tmp_path, name):
    suffix = name[1:]
    if suffix not in SUFFIXES:
        pytest.skip(f"this Pillow has no decoder for {suffix}")
    Image.new("RGB", (16, 16), (200, 30, 30)).save(tmp_path / name)
    assert abs(open_image(tmp_path / name, color=True).getpixel((8, 8))[0] - 200) < 8


def test_no_other_format_is_tried(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(UserError, match=r"a\.png is not an image in a supported format"):
        open_image(tmp_path / "a.png", color=True)
    assert not {"EPS", "PDF", "WMF", "PSD", "ICNS", "ICO", "DDS"} & set(FORMATS)


def encode(kind, size=(40, 40)):
    buffer = BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_are_read_or_refused_in_a_line_that_names_them(kind):
    whole, generator = encode(kind), np.random.default_rng(1)
    faults = []
    for _ in range(60):
        data = bytearray(whole)
        for place in generator.integers(0, min(len(data), 300), 3):
            data[place] ^= 1 << int(generator.integers(0, 8))
        try:
            fit_image(open_image(BytesIO(bytes(data)), color=True, name="bad.tga", side=16), 16, 16)
        except UserError as fault:
            faults.append(str(fault))
    assert all(text.startswith("bad.tga") and "\n" not in text for text in faults)
    with pytest.raises(UserError, match=r"bad\.tga is"):
        open_image(BytesIO(whole[:20]), color=True, name="bad.tga")
    # some formats have no redundancy
    assert faults or kind in ("PPM", "TGA", "BMP", "JPEG")


@pytest.mark.parametrize(
    "fault", [MemoryError(), NotImplementedError("DXT"), RuntimeError("no\nframe"), OverflowError(), struct.error("2")]
)
def test_faults_of_decoders_are_refused_by_file_name(tmp_path, monkeypatch, fault):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")

    def fail(image):
        raise fault

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(UserError, match=r"^\S+a\.png is a damaged image[^\n]*$"):
        open_image(tmp_path / "a.png", color=True)


def test_a_gif_whose_size_is_damaged_is_refused():
    data = bytearray(encode("GIF"))
    data[6:8] = (22466).to_bytes(2, "little")
    with pytest.raises(UserError, match="its first frame covers 40x40 of 22466x40 pixels"):
        open_image(BytesIO(bytes(data)), color=True, name="a.gif")


def test_empty_files_and_heic_are_named_as_what_they_are(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"a\.png is empty"):
        open_image(tmp_path / "a.png", color=True)
    (tmp_path / "b.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(UserError, match=r"\(HEIC\); export it as JPEG"):
        open_image(tmp_path / "b.jpg", color=True)


def test_names_that_are_no_text_are_printed_in_one_line(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n.png"))
    with pytest.raises(UserError, match=r"\\xff\\n\.png: no such file") as fault:
        open_image(path, color=True)
    str(fault.value).encode()


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux")
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_64_megapixels_take_less_than_600_mb(tmp_path, mode):
    Image.new(mode, (8000, 7999), (9, 99, 199, 200)[: len(mode)]).save(tmp_path / "large.png", compress_level=1)
    code = (
        "import resource, sys; from pathlib import Path; from capsnet.data.reading import prepare_image\n"
        "memory = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "start = memory(); prepare_image(Path(sys.argv[1]), (3, 32, 32), 'fit'); print(memory() - start)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "large.png"], check=True, capture_output=True)
    assert int(done.stdout) < 600


def test_a_photo_whose_exif_cannot_be_read_is_refused(tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.webp", exif=b"Exif\0\0" + bytes(16))
    for call in (probe_image, lambda path: open_image(path, color=True)):
        with pytest.raises(UserError, match=r"a\.webp is a damaged image"):
            call(tmp_path / "a.webp")


def test_a_photo_is_turned_though_its_exif_cannot_be_written_again(tmp_path):
    width = struct.pack("<HHI4s", 256, 2, 6, struct.pack("<I", 38))
    turn = struct.pack("<HHII", 274, 3, 1, 6)
    exif = b"II*\0" + struct.pack("<IH", 8, 2) + width + turn + bytes(4) + b"hello\0"
    Image.new("RGB", (40, 20)).save(tmp_path / "a.webp", exif=exif)
    assert open_image(tmp_path / "a.webp", color=True).size == (20, 40)


def test_photos_of_phones_with_a_second_image_are_read_without_a_note(tmp_path):
    Image.new("RGB", (40, 20), (200, 0, 0)).save(
        tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (8, 4))]
    )
    assert probe_image(tmp_path / "a.jpg").notes == ()
    assert open_image(tmp_path / "a.jpg", color=True, side=4).getpixel((0, 0))[0] > 190
