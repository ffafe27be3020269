import numpy as np
import pytest
from scipy.io import savemat

from capsnet.data.matlab import read_matlab
from capsnet.errors import UserError


@pytest.fixture
def path(tmp_path):
    values = {"X": np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8), "y": np.arange(5)}
    savemat(tmp_path / "a.mat", values, do_compression=True)
    return tmp_path / "a.mat"


def test_variables_asked_for_are_read(path):
    assert list(read_matlab(path.read_bytes(), "a", "y")) == ["y"]


@pytest.mark.parametrize("length", [0, 3, 100, 127, 128, 140, 200])
def test_file_cut_off_anywhere_is_named(path, length):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match=r"a\.mat: (truncated|holds no variable)"):
        read_matlab(path.read_bytes(), "a.mat", ("X", "y"))


def test_other_files_are_refused(path):
    path.write_bytes(b"\x89PNG" + bytes(300))
    with pytest.raises(UserError, match="not a MATLAB 5 file"):
        read_matlab(path.read_bytes(), "a.mat", "X")
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF")
    with pytest.raises(UserError, match=r"MATLAB 7\.3 file"):
        read_matlab(path.read_bytes(), "a.mat", "X")


def test_missing_variable_is_named(path):
    with pytest.raises(UserError, match="holds no variable 'Z'"):
        read_matlab(path.read_bytes(), "a.mat", "Z")


def test_a_damaged_byte_never_ends_in_another_error(path):
    whole = path.read_bytes()
    for place in range(0, len(whole), 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read_matlab(path.read_bytes(), "a.mat", ("X", "y"))
        except UserError as fault:
            assert "a.mat" in str(fault)  # noqa: PT017
