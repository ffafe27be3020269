import pytest
import torch

from capsnet import UserError
from capsnet.data.inputs import Inputs
from capsnet.models import CapsuleModel, create_model, list_models
from capsnet.runs.weights import on_meta


@pytest.mark.parametrize("name", list_models())
def test_every_model_owns_what_others_ask_of_it(name):
    with on_meta():
        model = create_model(name)
    assert isinstance(model, CapsuleModel)
    assert model.inputs == Inputs(model.input_shape)
    assert (model.pairing, model.preparation, model.data, model.doubt) == (None, "fit", "", None)
    assert model.has_decoder == (model.decoder is not None)


@pytest.mark.parametrize(
    "name", ["attention-capsnet-small", "em-capsnet-tiny", "baseline-cnn-quarter", "deepcaps-small"]
)
def test_pose_dim_is_that_of_the_output(name):
    model = create_model(name).eval()
    with torch.no_grad():
        assert model.pose_dim == model(torch.zeros(1, *model.input_shape)).capsules.poses.shape[2]


def test_pose_dim_is_found_when_the_class_does_not_state_it():
    class Other(CapsuleModel):
        def __init__(self):
            super().__init__((1, 28, 28), 10)
            self.inner = create_model("capsnet-tiny")

        def forward(self, images):
            return self.inner(images)

    model = Other()
    assert model.pose_dim == 16
    assert model.training


def test_class_layer_is_the_last_in_which_all_vote_for_all():
    model = create_model("attention-capsnet-small")
    assert model.class_layer is model.capsule_layers[-1]
    assert create_model("em-capsnet-tiny").class_layer is None


def test_a_model_without_memory_gives_the_shapes_of_its_output():
    model = create_model("capsnet-tiny", device="meta")
    assert model(torch.empty(2, 1, 28, 28, device="meta")).capsules.poses.shape == (2, 10, 16)


def test_images_on_another_device_are_refused():
    with pytest.raises(UserError, match=r"images must be on cpu like the model's weights, got meta; move them with"):
        create_model("capsnet-tiny")(torch.empty(2, 1, 28, 28, device="meta"))
