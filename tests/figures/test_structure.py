import pytest

from capsnet.figures.structure import draw_structure, find_blocks
from capsnet.figures.style import to_png
from capsnet.models import create_model
from capsnet.runs.weights import count_parameters


def test_blocks_are_those_of_the_paper():
    encoder, decoder = find_blocks(create_model("capsnet"))
    assert [block.shape for block in encoder] == [(1, 28, 28), (256, 20, 20), (1152, 8), (10, 16)]
    assert sum(block.parameters for block in encoder) == 6_804_224
    assert [block.shape for block in decoder] == [(10, 16), (512,), (1024,), (1, 28, 28)]
    assert sum(block.parameters for block in encoder + decoder) == 8_215_568


def test_parameters_are_written_beside_each_block():
    figure = draw_structure(create_model("capsnet-tiny"))
    texts = [text.get_text() for axes in figure.axes for text in axes.texts if text.get_gid() == "parameters"]
    assert texts[0] == "1,312 parameters"
    assert len(texts) == 6


def test_hooks_are_gone_afterwards():
    model = create_model("capsnet-tiny")
    find_blocks(model)
    assert not any(part._forward_hooks for part in model.modules())


def test_a_model_without_decoder_is_one_row():
    figure = draw_structure(create_model("capsnet-tiny", image_shape=(3, 40, 20), num_classes=3, decoder=False))
    assert len(figure.axes) == 1
    assert to_png(figure)


def test_outputs_without_poses_are_not_called_capsules():
    shapes = {}
    for name in ("self-routing-capsnet", "baseline-cnn-quarter", "capsnet-tiny"):
        figure = draw_structure(create_model(name))
        shapes[name] = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "10 activations" in shapes["self-routing-capsnet"]
    assert "10" in shapes["baseline-cnn-quarter"]
    assert any("capsules of" in text for text in shapes["capsnet-tiny"])
    assert not any(
        "capsules of 0 D" in text or "capsules of 1 D" in text for texts in shapes.values() for text in texts
    )


@pytest.mark.parametrize("name", ["baseline-cnn-quarter", "em-capsnet-tiny", "attention-capsnet-small"])
def test_all_parameters_are_in_the_blocks(name):
    model = create_model(name, image_shape=(1, 28, 28)).eval()
    encoder, decoder = find_blocks(model)
    assert sum(block.parameters for block in encoder + decoder) == count_parameters(model)


def test_words_are_those_of_matrices_and_of_other_decoders():
    encoder, _ = find_blocks(create_model("attention-capsnet-small"))
    [words] = [block.what for block in encoder if "matrix for each vote" in block.what]
    assert words.startswith("4×4 matrix for each vote")
    assert "1 iterations" not in words
    _, decoder = find_blocks(create_model("efficient-capsnet-smallnorb"))
    assert not any("ReLU" in block.what for block in decoder)


def test_a_model_in_training_is_left_as_it_is():
    model = create_model("efficient-capsnet").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    find_blocks(model)
    assert model.training
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
