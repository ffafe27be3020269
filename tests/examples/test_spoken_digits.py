"""The example learns on a small budget, and what its page shows is what was measured."""

from pathlib import Path

from tests.data.sounds import write_digits
from tests.examples.test_loops import load

from capsnet.inference.recordings import answer_recordings
from capsnet.models import load_sequence_model

ROOT = Path(__file__).parents[2]


def test_example_learns_and_saves_a_network_that_recognises_a_file(tmp_path, capsys):
    write_digits(tmp_path, range(4, 10), digits=3)
    example = load("spoken_digits")
    weights, figure = tmp_path / "digits.safetensors", tmp_path / "couplings.png"
    # by chance one of three
    assert example.main(tmp_path, epochs=6, save=weights, figure=figure) > 0.6
    assert "test accuracy" in capsys.readouterr().out
    assert figure.read_bytes().startswith(b"\x89PNG")
    recording = tmp_path / "free-spoken-digits" / "recordings" / "2_ada_9.wav"
    [(prediction, _)] = answer_recordings(load_sequence_model(weights), [recording])
    assert prediction.class_name == "2"


def test_table_of_the_page_is_that_of_the_measurements(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    import results
    import sequences

    page = (ROOT / "docs" / "sequences.md").read_text()
    assert results.put(page, sequences.MARKS, sequences.table()) == page
