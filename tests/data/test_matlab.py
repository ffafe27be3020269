import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from scipy.io import loadmat, savemat
from scipy.sparse import eye_array
from tests.official import pixels

from capsnet.data.matlab import read_matlab
from capsnet.errors import UserError


def read(path, *variables, most=1000):
    return read_matlab(BytesIO(path.read_bytes()).read, path.name, dict.fromkeys(variables, most))


@pytest.fixture
def path(tmp_path):
    values = {"X": np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8), "y": np.arange(5)}
    savemat(tmp_path / "a.mat", values, do_compression=True)
    return tmp_path / "a.mat"


def test_variables_asked_for_are_read(path):
    assert list(read(path, "y")) == ["y"]
    assert list(read(path, "y", "X")) == ["y", "X"]


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(
    "array",
    [
        np.random.default_rng(0).integers(0, 256, (3, 4, 2), dtype=np.uint8),
        np.array([[1.5, -2e300, np.nan]]),
        np.array([[7], [8]], np.float32),
        np.array([[1, -(2**40)]]),
        np.array([[3]], ">i2"),
        np.zeros((0, 3)),
        np.array([[True, False]]),
    ],
)
def test_array_is_as_scipy_reads_it(tmp_path, array, compressed):
    path = tmp_path / "a.mat"
    savemat(path, {"text": "not asked for", "A": array, "s": {"A": array, "cell": [1, "b"]}}, do_compression=compressed)
    found = read(path, "A", "s.A")
    expected = loadmat(path)["A"]
    for values in found.values():
        np.testing.assert_array_equal(values, expected)
        assert values.dtype == expected.dtype


def test_doubles_stored_as_bytes_are_bytes(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"y": np.array([[1.0, 2.0, 10.0]])}, do_compression=False)
    data = bytearray(path.read_bytes())
    # as MATLAB stores them: type and size of a small element, then three bytes and one that fills it up
    data[-32:] = bytes((2, 0, 3, 0, 1, 2, 10, 0))
    data[132] -= 24
    path.write_bytes(data)
    values = read(path, "y")["y"]
    np.testing.assert_array_equal(values, loadmat(path)["y"])
    np.testing.assert_array_equal(values, np.array([[1, 2, 10]]))
    assert values.dtype == np.uint8


def test_big_endian_file_is_read(tmp_path):
    words = np.array([14, 56, 6, 8, 11, 0, 5, 8, 1, 2, 1 << 16 | 1, ord("y") << 24, 4, 4, 0x01020304, 0], ">u4")
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\x01\x00MI" + words.tobytes())
    np.testing.assert_array_equal(read(path, "y")["y"], [[0x0102, 0x0304]])


@pytest.mark.parametrize(
    ("value", "got"), [("text", "text"), ([[1 + 2j]], "complex"), (eye_array(3), "a sparse"), ({"a": 1}, "a struct")]
)
def test_what_is_no_array_of_numbers_is_named(tmp_path, value, got):
    savemat(tmp_path / "a.mat", {"y": value})
    with pytest.raises(UserError, match=f"a.mat: y must be an array of numbers, got {got}"):
        read(tmp_path / "a.mat", "y")


def test_array_larger_than_allowed_is_refused_before_it_is_read(path):
    assert read(path, "X", most=64)["X"].shape == (8, 8)
    with pytest.raises(UserError, match="X must take at most 63 bytes, got 8x8 of uint8"):
        read(path, "X", most=63)


@pytest.mark.parametrize("length", [0, 3, 100, 127, 128, 140, 200])
def test_file_cut_off_anywhere_is_named(path, length):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match=r"a\.mat(: truncated| holds no variable)"):
        read(path, "X", "y")


def test_other_files_are_refused(path):
    path.write_bytes(b"\x89PNG" + bytes(300))
    with pytest.raises(UserError, match="not a MATLAB 5 file"):
        read(path, "X")
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF")
    with pytest.raises(UserError, match=r"MATLAB 7\.3 file"):
        read(path, "X")


def test_missing_variable_is_named(path):
    with pytest.raises(UserError, match="holds no variable 'Z'"):
        read(path, "Z")


def test_damage_within_packed_numbers_is_found(path):
    data = bytearray(path.read_bytes())
    # in the middle of the 64 random bytes of X, which zlib stores as they are
    data[200] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged MATLAB 5 file"):
        read(path, "X")


def test_a_damaged_byte_never_ends_in_another_error(path):
    whole = path.read_bytes()
    for place in range(0, len(whole), 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read(path, "X", "y")
        except UserError as fault:
            assert "a.mat" in str(fault)  # noqa: PT017


FUZZ = """
import random, resource, sys
from io import BytesIO
from pathlib import Path
from capsnet.data.matlab import read_matlab
from capsnet.errors import UserError

folder, limit, count = Path(sys.argv[1]), 200 << 20, int(sys.argv[2])
start = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (start + limit, start + limit))
draw, files, refused = random.Random(0), [path.read_bytes() for path in sorted(folder.iterdir())], 0
for number in range(count):
    data = bytearray(draw.choice(files))
    if number % 5 == 0:
        data = data[: draw.randrange(len(data))]
    else:
        data[draw.randrange(min(len(data), draw.choice((400, 10**9))))] ^= 1 << draw.randrange(8)
    most = {"X": 1 << 20, "y": 1 << 20, "affNISTdata.image": 1 << 20, "affNISTdata.label_int": 1 << 20}
    for names in (("X", "y"), ("affNISTdata.image", "affNISTdata.label_int")):
        try:
            read_matlab(BytesIO(data).read, "a.mat", {name: most[name] for name in names})
        except UserError as fault:
            refused += 1
            assert str(fault).startswith("a.mat") and chr(10) not in str(fault), fault
print(refused)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is limited by RLIMIT_AS")
def test_flipped_bits_and_cut_files_are_read_or_refused_within_200_mb(tmp_path):
    values = {"X": pixels(32, 32, 3, 2), "y": np.array([[1], [10]], np.uint8)}
    for compressed in (True, False):
        savemat(tmp_path / f"svhn-{compressed}.mat", values, do_compression=compressed)
        struct = {"image": pixels(1600, 2), "label_one_of_n": np.eye(10), "label_int": np.array([[1, 2]])}
        savemat(tmp_path / f"affnist-{compressed}.mat", {"affNISTdata": struct}, do_compression=compressed)
    command = [sys.executable, "-c", FUZZ, str(tmp_path), "300"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    # each file is refused for the other set's names
    assert 300 < int(result.stdout) < 600


def packed_variable(header, size):
    """A packed variable whose tag states `size` bytes, in a file."""
    packed = zlib.compress(np.array([14, size], "<u4").tobytes() + header)
    tag = np.array([15, len(packed)], "<u4").tobytes()
    return b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + tag + packed


BYTES = np.array([2, 2**32 - 16], "<u4").tobytes()


def header_of(kind, *shape, name=b"X"):
    sizes = np.array([6, 8, kind, 0, 5, 4 * len(shape), *shape, *[0] * (len(shape) % 2)], "<u4").tobytes()
    return sizes + np.array([len(name) << 16 | 1], "<u4").tobytes() + name.ljust(4, b"\0")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (header_of(9, 32, 2**31 - 1, 2**31 - 1) + BYTES, "X must take at most 1,000 bytes"),
        (header_of(9, 0, 2**31 - 1, 2**31 - 1) + BYTES, "must take at most 1,000 bytes"),
        (header_of(9, 2, 2**32 - 1), "without a class or sizes"),
        (header_of(9, 2, 3) + np.array([2, 2**32 - 8], "<u4").tobytes(), "2x3 numbers of 1 bytes in 4,294,967,288"),
        (header_of(9, 2, 3) + np.array([99, 6], "<u4").tobytes(), "numbers of type 99"),
        (header_of(9, 2, 3) + np.array([2, 6], "<u4").tobytes(), "bytes are missing"),
        (header_of(9, *[1] * 40), "element of type 5 with 160 bytes"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(tmp_path, header, words):
    (tmp_path / "a.mat").write_bytes(packed_variable(header, 2**32 - 8))
    with pytest.raises(UserError, match=words):
        read(tmp_path / "a.mat", "X")


@pytest.mark.parametrize(
    ("file", "variable"),
    [
        ("testdouble_7.4_GLNX86.mat", "testdouble"),
        ("testmatrix_6.5.1_GLNX86.mat", "testmatrix"),
        ("testmatrix_6.1_SOL2.mat", "testmatrix"),
        ("testmulti_7.1_GLNX86.mat", "theta"),
    ],
)
def test_file_that_matlab_wrote_is_read_as_scipy_reads_it(file, variable):
    path = Path(scipy.io.matlab.__file__).parent / "tests" / "data" / file
    if not path.is_file():
        pytest.skip("needs the files of scipy's own tests")
    expected = loadmat(path)[variable]
    found = read(path, variable)[variable]
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype.newbyteorder("=")
