from pathlib import Path

from capsnet.cache import cache_dir


def test_cache_is_the_users_or_the_one_given(monkeypatch):
    monkeypatch.setenv("CAPSNET_CACHE_DIR", "/somewhere")
    assert cache_dir() == Path("/somewhere")
    monkeypatch.delenv("CAPSNET_CACHE_DIR")
    assert cache_dir().name == "capsnet"
