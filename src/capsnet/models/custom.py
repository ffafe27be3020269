"""Wrap a user's module as a model: its output must have class capsules and their lengths."""

from jaxtyping import Float, Int
from torch import Tensor, nn, no_grad, random, zeros

from capsnet.capsules import CapsNetOutput, Capsules, RoutingOutput
from capsnet.errors import UserError
from capsnet.losses import LOSSES
from capsnet.models.eval_mode import eval_mode
from capsnet.models.model import CapsuleModel

_CONTRACT = "its output must be a CapsNetOutput, or the Capsules or RoutingOutput of its class layer"


class CustomModel(CapsuleModel):
    """Wraps a module for use wherever a model is accepted.

    Args:
        module: `module(images)` returns a `CapsNetOutput` (or another tuple with `capsules` and `lengths`), or the
            `Capsules` or `RoutingOutput` of its class layer, whose activations are then the lengths. An optional method
            `reconstruct(capsules, labels)` is its decoder; an optional string attribute `loss` names its loss.
        image_shape: channels, height and width.
        num_classes: number of class capsules.

    Raises:
        UserError: the module does not accept images of this shape, has another output, or names an unknown loss.
    """

    all_trained = False

    def __init__(self, module: nn.Module, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__(image_shape, num_classes)
        self.module = module
        loss = getattr(module, "loss", None)
        if isinstance(loss, str):
            self.loss = LOSSES.resolve(loss)
        draws = getattr(module, "reconstruct", None)
        self._draws = callable(draws) and getattr(module, "decoder", module) is not None
        self._check_output()

    @property
    def has_decoder(self) -> bool:
        """Whether the module has a method `reconstruct`."""
        return self._draws

    def forward(self, images: Float[Tensor, "b c h w"]) -> CapsNetOutput:
        """Compute the class capsules of images."""
        self.check_images(images)
        return _read(self.module(images))

    def reconstruct(self, capsules: Capsules, labels: Int[Tensor, " b"] | None = None) -> Float[Tensor, "b c h w"]:
        """Reconstruct images from class capsules; see `CapsuleModel.reconstruct`."""
        if not self._draws:
            raise UserError(f"{type(self.module).__name__} has no method reconstruct")
        # not declared by nn.Module
        image: Tensor = getattr(self.module, "reconstruct")(capsules, labels)  # noqa: B009
        return image

    def _check_output(self) -> None:
        """Check the output for two blank images; mode and random state are restored."""
        name = type(self.module).__name__
        weight = next(self.parameters(), None)
        device, dtype = (None, None) if weight is None else (weight.device, weight.dtype)
        images = zeros(2, *self.input_shape, device=device, dtype=dtype)
        try:
            with random.fork_rng(), no_grad(), eval_mode(self):
                output = self(images)
        except (AttributeError, IndexError, RuntimeError, TypeError) as fault:
            raise UserError(f"{name} cannot take images b x {self.input_shape} ({fault})") from None
        classes = len(self.class_names)
        if output.lengths.shape != (2, classes) or output.capsules.poses.shape[:2] != (2, classes):
            got = f"lengths {tuple(output.lengths.shape)} and poses {tuple(output.capsules.poses.shape)}"
            raise UserError(
                f"{name} must give lengths b x {classes} and poses b x {classes} x d, got {got} for 2 images"
            )


def _read(output: object) -> CapsNetOutput:
    if isinstance(output, CapsNetOutput):
        return output
    if isinstance(output, Capsules | RoutingOutput):
        coupling = output.coupling if isinstance(output, RoutingOutput) else None
        return CapsNetOutput(Capsules(output.poses, output.activations), output.activations, coupling)
    capsules, lengths = getattr(output, "capsules", None), getattr(output, "lengths", None)
    if not isinstance(capsules, Capsules) or not isinstance(lengths, Tensor):
        raise UserError(f"{_CONTRACT}, got {type(output).__name__}")
    return CapsNetOutput(capsules, lengths, getattr(output, "coupling", None))


def as_capsule_model(model: nn.Module, image_shape: tuple[int, int, int], num_classes: int) -> CapsuleModel:
    """Return a `CapsuleModel` for this image shape and number of classes; other modules are wrapped.

    Raises:
        UserError: image shape or number of classes differ, or the output is not a model's.
    """
    if not isinstance(model, CapsuleModel):
        return CustomModel(model, image_shape, num_classes)
    if model.input_shape != image_shape:
        raise UserError(
            f"the model is for images {model.input_shape}, the data set has {image_shape}; create it with "
            f"image_shape={image_shape}"
        )
    if len(model.class_names) != num_classes:
        raise UserError(
            f"the model has {len(model.class_names)} classes, the data {num_classes}; create it with "
            f"num_classes={num_classes}, and transfer weights with start_from"
        )
    return model


def class_of(model: nn.Module) -> str:
    """The name of the user's class, even if the module is wrapped."""
    return type(model.module if isinstance(model, CustomModel) else model).__name__
