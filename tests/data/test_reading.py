import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from capsnet.data import reading
from capsnet.data.formats import refusing_damage
from capsnet.data.reading import probe_files, read_files
from capsnet.data.sources import FolderFiles
from capsnet.errors import UserError

SHAPE = (1, 8, 8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "photos").mkdir()
    for number in range(4):
        Image.new("L", (16, 16), 50 * number).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files that are decoded."""
    names = []
    prepare = reading.prepare_image

    def count(path, *args, **options):
        names.append(path.name)
        return prepare(path, *args, **options)

    monkeypatch.setattr(reading, "prepare_image", count)
    return names


def levels(images):
    return [int(image[0, 0, 0]) for image in images]


def test_each_file_is_decoded_once_and_then_taken_from_the_cache(folder, decoded):
    names = [f"{number}.png" for number in range(4)]
    assert levels(read_files(FolderFiles(folder), names, SHAPE, "fit")) == [0, 50, 100, 150]
    assert sorted(decoded) == names
    assert levels(read_files(FolderFiles(folder), names[::-1], SHAPE, "fit")) == [150, 100, 50, 0]
    assert sorted(decoded) == names


def test_only_a_changed_file_is_decoded_again(folder, decoded):
    names = [f"{number}.png" for number in range(4)]
    read_files(FolderFiles(folder), names, SHAPE, "fit")
    decoded.clear()
    Image.new("L", (16, 16), 255).save(folder / "1.png")
    assert levels(read_files(FolderFiles(folder), names, SHAPE, "fit")) == [0, 255, 100, 150]
    assert decoded == ["1.png"]


def test_reading_one_part_keeps_the_other_in_the_cache(folder, decoded):
    for names in (["0.png", "1.png"], ["2.png", "3.png"], ["0.png", "3.png"]):
        read_files(FolderFiles(folder), names, SHAPE, "fit")
    assert sorted(decoded) == ["0.png", "1.png", "2.png", "3.png"]


def test_a_fault_stands_in_the_place_of_its_file(folder):
    (folder / "1.png").write_bytes(b"\x89PNG\r\n")
    results = read_files(FolderFiles(folder), ["0.png", "1.png", "2.png"], SHAPE, "fit")
    assert [isinstance(result, UserError) for result in results] == [False, True, False]
    assert "1.png" in str(results[1])


def test_a_pipe_is_no_image_and_is_not_waited_for(folder):
    os.mkfifo(folder / "pipe.png")
    (result,) = probe_files(FolderFiles(folder), ["pipe.png"])
    assert "is not a regular file" in str(result)


def test_no_bar_is_drawn_where_there_is_no_terminal(folder, capfd):
    read_files(FolderFiles(folder), ["0.png"], SHAPE, "fit")
    assert capfd.readouterr() == ("", "")


def test_a_bar_is_drawn_on_a_terminal(folder, capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    read_files(FolderFiles(folder), ["0.png"], SHAPE, "fit")
    out, err = capfd.readouterr()
    assert (out, "reading images" in err) == ("", True)


def test_threads_decode_at_the_same_time_and_leave_the_filters_of_warnings_as_they_were():
    filters, meeting = list(warnings.filters), threading.Barrier(2, timeout=20)

    def decode(number):
        with refusing_damage("x"):
            # both are inside at once, or this breaks
            meeting.wait()
            warnings.warn("ignored", stacklevel=1)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(decode, range(2)))
    assert list(warnings.filters) == filters
