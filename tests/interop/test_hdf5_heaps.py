import h5py
import pytest

from capsnet.errors import UserError
from capsnet.interop.hdf5 import read_keras_file
from capsnet.interop.hdf5_heaps import check_heaps


@pytest.fixture
def file(tmp_path):
    """A file of weights whose layers are named by texts of any length."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv1"]
        group = file.create_group("conv1")
        group.attrs["weight_names"] = [b"bias:0"]
        group.create_dataset("bias:0", data=[1.0, 2.0])
    return path


def test_heap_without_an_end_is_refused_before_it_is_read(file):
    data = bytearray(file.read_bytes())
    free = data.index(b"bias:0", data.index(b"GCOL")) + 8
    assert data[free : free + 2] == b"\0\0"
    data[free + 8 : free + 16] = bytes(8)
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"cannot be read as a Keras file \(the heap at byte [\d,]+ has no end"):
        read_keras_file(file)
    with pytest.raises(ValueError, match="has no end"):
        check_heaps(bytes(data))


def test_text_longer_than_the_file_is_refused_before_memory_is_allocated(file):
    data = bytearray(file.read_bytes())
    address = data.index(b"GCOL").to_bytes(8, "little")
    (place,) = [
        place
        for place in range(4, len(data))
        if data[place - 4 : place + 12] == (6).to_bytes(4, "little") + address + (2).to_bytes(4, "little")
    ]
    data[place - 4 : place] = (1 << 30).to_bytes(4, "little")
    file.write_bytes(data)
    with pytest.raises(UserError, match="has 1,073,741,824 bytes, more than the file"):
        read_keras_file(file)


def test_many_heaps_are_refused():
    with pytest.raises(ValueError, match="more than 1,000 heaps"):
        check_heaps(b"GCOL\1" * 1001)


def test_whole_heaps_pass(file):
    check_heaps(file)
    assert [layer.name for layer in read_keras_file(file).layers] == ["conv1"]


@pytest.mark.parametrize("content", [b"", b"GCOL\1", b"GCOL\1\0\0\0" + b"\xff" * 8 + b"\1\0" * 40])
def test_heap_that_is_cut_off_is_left_to_the_library(tmp_path, content):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    check_heaps(path)
