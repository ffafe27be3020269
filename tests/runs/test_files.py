import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from capsnet.errors import UserError
from capsnet.runs.files import whole_output, write_bytes, write_text


def test_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a"
    write_bytes(path, b"old")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_bytes(path, b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="no space left on the disk"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_read_only_file_system_is_said_in_one_line(tmp_path, monkeypatch):
    def refuse(*args, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "open", refuse)
    # there, even to remove what does not exist is refused
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(UserError, match=r"cannot be written \(Read-only file system\)"):
        write_bytes(tmp_path / "a", b"new")


def test_name_that_is_not_utf8_is_written_in_words(tmp_path):
    write_text(tmp_path / "a", os.fsdecode(b"photo\xff.png"))
    assert (tmp_path / "a").read_text() == "photo\\udcff.png"


def test_output_has_its_name_when_it_is_whole(tmp_path):
    for out in (tmp_path / "new" / "a.onnx", tmp_path / "other" / "page"):
        with whole_output(out) as beside:
            if out.suffix:
                beside.write_bytes(b"content")
            else:
                beside.mkdir()
                (beside / "index.html").touch()
            assert not out.exists()
            assert out.suffix in ("", beside.suffix)
        assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("fault", [UserError("no such operator"), KeyboardInterrupt()])
def test_output_that_is_not_finished_leaves_nothing(tmp_path, fault):
    def fail(out):
        with whole_output(out) as beside:
            beside.mkdir()
            (beside / "index.html").touch()
            raise fault

    with pytest.raises(type(fault)):
        fail(tmp_path / "page")
    assert not list(tmp_path.iterdir())


def test_output_that_another_made_meanwhile_stays(tmp_path):
    def write(out):
        with whole_output(out) as beside:
            beside.write_bytes(b"second")
            out.write_bytes(b"first")

    with pytest.raises(UserError, match="exists; give another name"):
        write(tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == b"first"


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "a"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: write_bytes(path, bytes([k]) * 50_000), range(200)))
    content = path.read_bytes()
    assert len(content) == 50_000
    assert len(set(content)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_cleared(tmp_path):
    path = tmp_path / "a"
    (tmp_path / ".a.part").write_bytes(b"half of a longer file")
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_file_has_the_permissions_of_other_new_files(tmp_path):
    (tmp_path / "b").touch()
    write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
