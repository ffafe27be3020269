"""Where `capsnet bench` writes."""

from capsnet.cli.bench import _find_file


def test_only_a_json_file_is_a_file(tmp_path):
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "earlier").touch()
    for name, found in (
        ("a.json", "a.json"),
        ("results", "results/here.json"),
        ("results.2024", "results.2024/here.json"),
        ("folder.json", "folder.json/here.json"),
        ("earlier", "earlier"),
    ):
        assert _find_file(tmp_path / name, "here") == tmp_path / found
