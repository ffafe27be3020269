import pytest

from capsnet.kernels.choices import remember


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path))
    return tmp_path / "kernels"


def test_second_process_takes_what_the_first_decided(cache):
    answers = [remember("sizes", ("a", "b"), lambda answer=answer: answer) for answer in "ab"]
    assert answers == ["a", "a"]
    assert remember("other sizes", ("a", "b"), lambda: "b") == "b"


def test_of_two_that_decide_at_once_the_first_to_write_wins(cache):
    assert remember("sizes", ("a", "b"), lambda: remember("sizes", ("a", "b"), lambda: "a") and "b") == "a"


def test_damaged_file_is_replaced(cache):
    remember("sizes", ("a", "b"), lambda: "a")
    (file,) = cache.iterdir()
    file.write_text("nonsense\n")
    assert remember("sizes", ("a", "b"), lambda: "b") == "b"
    assert remember("sizes", ("a", "b"), lambda: "a") == "b"


def test_cache_that_cannot_be_written_is_no_fault(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CAPSNET_CACHE_DIR", str(tmp_path / "file"))
    assert remember("sizes", ("a", "b"), lambda: "a") == "a"
