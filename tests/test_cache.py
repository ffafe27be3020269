import os
from pathlib import Path

from capsnet.cache import cache_dir, prune_cache


def test_cache_is_the_users_or_the_one_given(monkeypatch):
    monkeypatch.setenv("CAPSNET_CACHE_DIR", "/somewhere")
    assert cache_dir() == Path("/somewhere")
    monkeypatch.delenv("CAPSNET_CACHE_DIR")
    assert cache_dir().name == "capsnet"


def test_what_is_removed_takes_no_room(tmp_path):
    for age, (name, size) in enumerate({"new": 60, "large": 200, "old": 30, "oldest": 20}.items()):
        (tmp_path / name).write_bytes(bytes(size))
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    prune_cache(tmp_path, 100)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]
