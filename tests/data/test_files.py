import gzip
import tracemalloc

import pytest

from capsnet.data.files import read_bytes, read_most
from capsnet.errors import UserError


def peak_of(work):
    """Bytes that Python held at most while it worked."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        # traced, all later tests are slow
        tracemalloc.stop()


def test_a_file_of_the_most_bytes_is_read_and_one_more_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bytes(tmp_path / "a", 5) == b"12345"
    with pytest.raises(UserError, match="a must hold at most 4 bytes, unpacked, got more"):
        read_bytes(tmp_path / "a", 4)


def test_what_a_small_packed_file_holds_beyond_the_most_is_not_unpacked(tmp_path):
    path = tmp_path / "a.gz"
    # 200 MB in 200 kB
    path.write_bytes(gzip.compress(bytes(10_000_000)) * 20)

    def read():
        with pytest.raises(UserError, match="at most 1,000 bytes"):
            read_bytes(path, 1000)

    assert peak_of(read) < 20_000_000


def test_no_memory_is_taken_for_bytes_that_do_not_come():
    def read():
        assert read_most(lambda count: b"", 1 << 40) == b""

    assert peak_of(read) < 1_000_000


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_bytes(tmp_path, 5)
