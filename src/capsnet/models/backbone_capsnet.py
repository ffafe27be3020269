"""Capsules on the feature maps of a backbone, such as a network that was trained on ImageNet.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017, section 4, above another stem.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from capsnet.capsules import CapsNetOutput, Capsules
from capsnet.layers import DenseCapsules, PrimaryCapsules
from capsnet.models.arguments import check_activates, check_arguments, resolve_routing
from capsnet.models.backbones import UNTRAINED, last_maps, load_backbone
from capsnet.models.factory import MODELS, Preset
from capsnet.models.grid import Grid
from capsnet.models.model import CapsuleModel


class BackboneCapsNet(CapsuleModel):
    """A backbone's feature maps, a 1x1 convolution into primary capsules, and class capsules by any routing.

    Images in [0, 1] are normalised by the mean and standard deviation that the backbone was trained with.

    Args:
        image_shape: channels, height and width; one channel is repeated for a backbone that takes three.
        num_classes: number of class capsules.
        backbone: `"resnet20"`, which is untrained; a timm model, such as `"resnet18.a1_in1k"` (extra `backbones`); or
            a module that gives feature maps `b channels rows columns`, which is used as it is, not copied.
        weights: a local .safetensors file of a timm model's weights; None: timm's cache, or its download.
        frozen: keep the backbone as it is, with its batch statistics; None: where it is trained, as a timm model and a
            module count.
        num_types: types of primary capsule at each position.
        child_dim: dimension of a primary capsule.
        parent_dim: dimension of a class capsule.
        routing: name of the routing.
        iterations: routing iterations; None: the routing's default (dynamic: 3).
        routing_options: options of the routing, by its argument names.

    Shapes:
        images `b c h w`, in [0, 1]; see `CapsNetOutput`.

    Raises:
        UserError: a backbone that cannot be loaded, a size below 1, or a routing without activations.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        image_shape: Sequence[int] = (3, 32, 32),
        num_classes: int = 10,
        *,
        backbone: str | nn.Module = UNTRAINED,
        weights: str | None = None,
        frozen: bool | None = None,
        num_types: int = 16,
        child_dim: int = 8,
        parent_dim: int = 16,
        routing: str = "dynamic",
        iterations: int | None = None,
        routing_options: Mapping[str, object] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(image_shape, num_classes, pose_dim=parent_dim)
        check_arguments(num_types=num_types, child_dim=child_dim, parent_dim=parent_dim)
        loaded = load_backbone(backbone, self.input_shape, weights, device=device, dtype=dtype)
        self.backbone, self.frozen = loaded.module, loaded.trained if frozen is None else frozen
        for name, values in (("mean", loaded.mean), ("std", loaded.std)):
            numbers = torch.tensor(values, device=device, dtype=dtype)[:, None, None]
            self.register_buffer(name, numbers, persistent=False)
        self.primary_capsules = PrimaryCapsules(
            loaded.channels, num_types, pose_dim=child_dim, kernel_size=1, stride=1, device=device, dtype=dtype
        )
        rows, columns = loaded.grid
        self.class_capsules = DenseCapsules(
            rows * columns * num_types,
            num_classes,
            child_dim=child_dim,
            parent_dim=parent_dim,
            routing=routing,
            routing_options=resolve_routing(routing, routing_options, iterations=iterations),
            device=device,
            dtype=dtype,
        )
        check_activates(self.class_capsules.routing, routing)
        self.grid = _make_grid(loaded.grid, self.input_shape)
        if self.frozen:
            self.backbone.requires_grad_(False)
            self.backbone.eval()

    def train(self, mode: bool = True) -> "BackboneCapsNet":
        """Set training mode; a frozen backbone keeps its batch statistics."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def features(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        """The backbone's feature maps."""
        self.check_images(images)
        # a frozen backbone needs a graph only for the gradient of its images (adversarial examples)
        learns = self.fixed_part is None or images.requires_grad
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            return last_maps(self.backbone((images - self.mean) / self.std))

    @property
    def fixed_part(self) -> nn.Module | None:
        """The backbone, if it is frozen, and was not unfrozen by `requires_grad_`."""
        learns = not self.frozen or any(parameter.requires_grad for parameter in self.backbone.parameters())
        return None if learns else self.backbone

    @property
    def backbone_parameters(self) -> list[nn.Parameter]:
        """The backbone's parameters; empty if it is frozen."""
        return [] if self.fixed_part is not None else list(self.backbone.parameters())

    def forward(self, images: Float[Tensor, "b c h w"]) -> CapsNetOutput:
        """Compute the class capsules of images."""
        return self.classify(self.features(images))

    def classify(self, features: Float[Tensor, "b channels rows columns"]) -> CapsNetOutput:
        """Compute the class capsules from the backbone's feature maps."""
        primary: Capsules = self.primary_capsules(features)
        classes = self.class_capsules(primary)
        return CapsNetOutput(Capsules(classes.poses, classes.activations), classes.activations, classes.coupling)


def _make_grid(grid: tuple[int, int], image_shape: tuple[int, int, int]) -> Grid | None:
    """Positions of the feature maps over the image, each as large as its share of it; None: they are not square."""
    (rows, columns), (_, height, width) = grid, image_shape
    step = height / rows
    return Grid(rows, columns, step, step / 2, round(step)) if width / columns == step else None


MODELS.add(
    "backbone-capsnet",
    Preset(BackboneCapsNet, {}, "capsules on a backbone: a timm model, a module of yours, or an untrained ResNet-20"),
)
