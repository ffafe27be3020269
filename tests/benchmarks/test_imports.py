"""Every script of benchmarks/ finds what it imports, and does nothing until it is called."""

import pytest
import torch
from tests.benchmarks.conftest import ROOT

SCRIPTS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "benchmarks").rglob("*.py"))


def test_scripts_are_found():
    assert {"benchmarks/profile_step.py", "benchmarks/peers/worker.py"} < set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_does_nothing_when_it_is_imported(script, load, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    threads, draws = torch.get_num_threads(), torch.get_rng_state()
    try:
        load(script)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "capsnet":
            raise
        pytest.skip(f"needs {error.name}")
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), draws)
