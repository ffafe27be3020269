import base64
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from capsnet import create_model, list_models
from capsnet.demo.look import MAX_BYTES, look, read_image, redraw
from capsnet.errors import UserError
from capsnet.inference.predict import prepare_picture
from capsnet.prediction import NO_DIGIT, Doubt
from capsnet.runs.weights import ModelSpec

DIGITS = tuple("0123456789")


def build(model, preparation="digit", names=DIGITS, **options):
    return ModelSpec(model, options, names, preparation, "digits").build().eval()


@pytest.fixture(scope="module")
def tiny():
    return build("capsnet-tiny")


@pytest.fixture
def seven():
    image = Image.new("L", (224, 224))
    ImageDraw.Draw(image).line([(60, 40), (160, 40), (100, 190)], fill=255, width=17)
    return image


def pixels(picture):
    shape = (picture["height"], picture["width"], picture["channels"])
    return np.frombuffer(base64.b64decode(picture["pixels"]), np.uint8).reshape(shape)


def test_look_says_what_the_model_says(tiny, seven):
    found = look(tiny, seven)
    with torch.inference_mode():
        output = tiny(prepare_picture(seven, tiny).pixels[None] / 255)
    assert found["lengths"] == pytest.approx(output.lengths[0].tolist(), abs=1e-6)
    assert found["found"] == [int(output.lengths.argmax())]
    assert np.allclose(found["poses"], output.capsules.poses[0], atol=1e-6)
    assert found["names"] == list(DIGITS)
    assert "trained on digits" in found["about"]


def test_the_page_is_given_why_an_answer_is_unsure(seven):
    model = build("capsnet-tiny")
    assert look(model, seven)["unsure"] is False
    model.doubt = Doubt(length=2.0, gap=0.0, error=None, patch_error=None, pieces=1, images=200, passed=0.96)
    answer = look(model, seven)
    assert (answer["unsure"], answer["reasons"]) == (True, ["no capsule is long"])


def test_image_without_a_digit_is_unsure_without_limits_too():
    answer = look(build("capsnet-tiny"), Image.new("L", (224, 224)))
    assert (answer["unsure"], answer["reasons"]) == (True, [NO_DIGIT])
    # not prepared as a digit, it may be anything
    answer = look(build("capsnet-tiny", "fit"), Image.new("L", (224, 224)))
    assert (answer["unsure"], answer["preparation"]) == (False, "fit")


def test_what_was_seen_is_the_digit_in_its_frame(tiny, seven):
    seen = pixels(look(tiny, seven)["seen"])
    assert seen.shape == (28, 28, 1)
    rows = np.nonzero(seen[..., 0])[0]
    assert rows.max() - rows.min() + 1 == 20


def test_the_reconstruction_is_the_winners_and_moves_with_its_pose(tiny, seven):
    found = look(tiny, seven)
    label = found["found"][0]
    pose = found["poses"][label]
    with torch.inference_mode():
        output = tiny(prepare_picture(seven, tiny).pixels[None] / 255)
        expected = tiny.reconstruct(output.capsules)[0, 0] * 255
    assert np.abs(pixels(found["drawn"])[..., 0] - expected.numpy()).max() <= 1
    assert redraw(tiny, label, pose) == found["drawn"]
    assert redraw(tiny, label, [5.0, *pose[1:]]) != found["drawn"]


def test_coupling_starts_even_and_ends_as_the_models_own(tiny, seven):
    steps = look(tiny, seven)["places"]["steps"]
    assert [step["iteration"] for step in steps] == [1, 2, 3]
    assert np.array(steps[0]["shares"]).shape == (10, 6, 6)
    assert np.allclose(steps[0]["shares"], 1)
    with torch.inference_mode():
        coupling = tiny(prepare_picture(seven, tiny).pixels[None] / 255).coupling
    own = coupling.reshape(6, 6, 4, 10).sum(dim=2).permute(2, 0, 1) * 10 / 4
    assert np.allclose(steps[2]["shares"], own, atol=1e-4)


def test_a_routing_of_one_step_has_one_map(seven):
    found = look(build("capsnet-tiny", routing="self-attention"), seven)
    assert [step["iteration"] for step in found["places"]["steps"]] == [None]
    assert "one step" in found["note"]


def test_many_iterations_are_shown_at_first_and_at_last(seven):
    found = look(build("capsnet-tiny", iterations=9), seven)
    assert [step["iteration"] for step in found["places"]["steps"]] == [1, 2, 3, 4, 5, 9]


def test_capsules_that_see_the_whole_image_have_no_places(seven):
    found = look(build("efficient-capsnet"), seven)
    assert found["places"] is None
    assert "16 primary capsules sees the whole image" in found["note"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("baseline-cnn", {"channels": (4, 2), "kernel_sizes": (5, 5), "hidden": (8,)}),
        ("em-capsnet", {"sizes": (4, 2, 2, 2)}),
        ("attention-capsnet", {"stages": ((4, 1, 1), (8, 1, 2)), "num_types": (2, 2, 2)}),
        ("self-routing-capsnet", {"stages": ((4, 1, 1), (8, 1, 2)), "num_types": 2}),
    ],
)
def test_models_without_places_say_so(seven, name, options):
    found = look(build(name, image_shape=(1, 28, 28), num_classes=10, **options), seven)
    assert len(found["lengths"]) == 10
    assert found["places"] is None
    assert "not laid out" in found["note"]


def test_a_colour_network_sees_colours():
    model = build("capsnet-tiny", "fit", ("blue", "red"), image_shape=(3, 20, 24), num_classes=2)
    seen = pixels(look(model, Image.new("RGB", (50, 50), "red"))["seen"])
    assert seen.shape == (20, 24, 3)
    assert (seen[10, 12] == (255, 0, 0)).all()


def test_without_a_decoder_nothing_is_drawn(seven):
    model = build("capsnet-tiny", decoder=False)
    assert look(model, seven)["drawn"] is None
    with pytest.raises(ValueError, match="no decoder"):
        redraw(model, 0, [0.0] * 16)


@pytest.mark.parametrize("name", list_models())
def test_every_network_is_shown_and_redrawn_where_it_has_a_decoder(name, seven):
    shape = next(shape for shape in ((1, 28, 28), (3, 32, 32)) if takes(name, shape))
    model = create_model(name, image_shape=shape).eval()
    found = look(model, seven)
    label = found["found"][0]
    assert model.pose_dim == len(found["poses"][label])
    if model.decoder is None:
        assert found["drawn"] is None
    else:
        assert redraw(model, label, found["poses"][label]) == found["drawn"]
        assert pixels(found["drawn"]).shape == (shape[1], shape[2], shape[0])


def takes(name, shape):
    try:
        create_model(name, image_shape=shape, device="meta")
    except UserError:
        return False
    return True


def test_a_pose_of_a_decoder_that_all_classes_share_is_drawn(seven):
    model = build("deepcaps-small", image_shape=(1, 28, 28))
    assert redraw(model, 3, [0.1] * 16) != redraw(model, 3, [-0.1] * 16)
    with pytest.raises(ValueError, match=r"16 finite numbers, got 1$"):
        redraw(model, 3, [0.1])


def test_an_answer_that_is_not_finite_is_refused(seven):
    model = build("capsnet-tiny")
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match="answer is not finite"):
        look(model, seven)


def test_a_network_of_two_views_is_refused(seven):
    with pytest.raises(ValueError, match="2 channels"):
        look(build("capsnet-tiny", "fit", image_shape=(2, 28, 28)), seven)


@pytest.mark.parametrize(("label", "pose"), [(10, [0.0] * 16), (-1, [0.0] * 16), (0, [0.0]), (0, [float("nan")] * 16)])
def test_a_pose_that_is_none_is_refused(tiny, label, pose):
    with pytest.raises(ValueError, match=r"class must be|pose of this network"):
        redraw(tiny, label, pose)


def test_uploads_are_refused_by_size_and_by_what_they_are():
    with pytest.raises(ValueError, match="larger than 10 MB"):
        read_image(bytes(MAX_BYTES + 1))
    with pytest.raises(ValueError, match=r"notes\.txt is not an image"):
        read_image(b"not an image", "notes.txt")


def test_uploads_of_more_than_8_bits_have_the_range_of_the_model():
    buffer = BytesIO()
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save(buffer, "PNG")
    image = read_image(buffer.getvalue(), pixel_range=(0.0, 2000.0))
    assert image.getpixel((0, 0)) == (128, 128, 128)


def test_a_routing_that_reads_the_children_s_poses_is_shown(seven):
    model = create_model("capsnet-tiny", routing="heinsen").eval()
    assert look(model, seven)["places"] is not None
