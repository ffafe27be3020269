import pytest
import torch

from capsnet.errors import UserError
from capsnet.figures.sequence import draw_couplings
from capsnet.models import create_sequence_model


@pytest.fixture
def recordings():
    return [torch.randn(6, 12), torch.randn(6, 7)]


def test_curves_are_the_coupling_of_the_windows_of_each_recording(recordings):
    model = create_sequence_model("sequence-capsnet", in_channels=6, num_classes=3).eval()
    figure = draw_couplings(model, recordings, ["one", "spoken: two"], step=0.5)
    output = model(recordings[1][None])
    # windows of 5 steps that begin at 0 and 2 lie in 7 steps
    lines = figure.axes[3].lines
    assert lines[1].get_xdata().tolist() == [1.25, 2.25]
    expected = output.coupling[0, :, output.lengths[0].argmax()].reshape(2, 8).mean(dim=1)
    torch.testing.assert_close(torch.tensor(lines[1].get_ydata()), expected.detach())
    assert "spoken: two" in figure.axes[2].get_title("left")


def test_a_model_without_capsules_is_refused(recordings):
    with pytest.raises(UserError, match="no coupling of windows"):
        draw_couplings(create_sequence_model("sequence-cnn", in_channels=6, num_classes=3), recordings, ["one", "two"])


def test_bars_are_the_lengths_of_the_longest_capsules(recordings):
    model = create_sequence_model("sequence-capsnet", in_channels=6, num_classes=7).eval()
    figure = draw_couplings(model, recordings, ["one", "two"], class_lengths=True)
    lengths = model(recordings[1][None]).lengths[0]
    drawn = [patch.get_width() for patch in figure.axes[5].patches]
    assert drawn == pytest.approx(lengths.sort(descending=True).values[:5].tolist())


def test_a_model_in_training_stays_so(recordings):
    model = create_sequence_model("sequence-capsnet", in_channels=6, num_classes=3).train()
    draw_couplings(model, recordings, ["one", "two"])
    assert model.training
