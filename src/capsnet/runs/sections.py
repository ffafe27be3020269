"""The sections of a run's configuration: its data, augmentation, model, optimizer and the run itself.

None leaves the value to what is built: the model's own routing, all images, the length that suits the data.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, NamedTuple

from capsnet.errors import UserError
from capsnet.runs.checks import check_section, option_name

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "tf32", "bf16"]
Execution = Literal["auto", "eager", "compile", "cuda-graph"]
Optimizer = Literal["adam", "sgd"]
Schedule = Literal["exponential", "one-cycle", "step"]
ShiftInterpolation = Literal["none", "nearest", "bilinear"]
ShiftFill = Literal["zeros", "edge"]
Distortions = Literal["uniform", "normal"]
Option = bool | int | float | str

# share of the run in which the rate of one-cycle rises
_RISE = 0.2


@dataclass(frozen=True)
class DataConfig:
    """Which images a run learns from, which are held out, and which it is tested on.

    Raises:
        UserError: a value out of range.
    """

    name: str = "digits"
    """Data set: a name, a folder with a folder of images for each class, or a .npz or .csv file."""
    data_dir: str | None = None
    """Folder that holds named data sets; the default is $CAPSNET_DATA_DIR, then the cache, then a download."""
    image_size: int = 32
    """Side to which one's own images are scaled (data sets by name keep theirs)."""
    skip_unreadable: bool = False
    """Leave out files of an image folder that are no images, in place of an error."""
    pixel_range: tuple[float, float] | None = None
    """Values of the image files that become black and white, for files of more than 8 bits (default: the range of the
    data set)."""
    limit: int | None = None
    """Number of training images used; None: all."""
    test_limit: int | None = None
    """Number of test images used, drawn once for all seeds; None: all."""
    validation: int | float = 0.1
    """Training images held out to choose the best weights: a share below 1, or a number; 0: the last are kept."""
    validation_shift: int = 0
    """Move each image that is held out by up to so many pixels, once: validation on moved images."""
    balance: bool = False
    """Draw the training images of an epoch from all classes equally often, for classes of very different sizes."""
    pairs_per_digit: int = 1
    """Test pairs of each digit, of data that are pairs (the paper: 1000)."""

    def __post_init__(self) -> None:
        check_section("data", self)
        if self.validation >= 1 and self.validation != int(self.validation):
            raise UserError(f"validation must be a share below 1 or a whole number of images, got {self.validation}")
        if self.pixel_range is not None:
            low, high = self.pixel_range
            # a NaN is not below anything
            if not -math.inf < low < high < math.inf:
                raise UserError(f"pixel_range must be finite numbers LOW below HIGH, got {low:g} and {high:g}")


@dataclass(frozen=True)
class AugmentationConfig:
    """How images are prepared for the network, and how training images are varied.

    Raises:
        UserError: a value out of range, or values that contradict each other.
    """

    enlarge: int | None = None
    """Scale all images up to so many pixels a side first; None: they keep their size."""
    shrink: int | None = None
    """Scale all images down to so many pixels a side first; None: they keep their size."""
    crop: int | None = None
    """Side of the patch that the network sees: at a random place in training, else the middle; None: whole images."""
    standardize: bool = False
    """Give each input zero mean and unit variance, in place of pixels in [0, 1]."""
    shift: int | float = 2
    """Shift each training image by up to this many pixels in both directions; of pairs, each digit by its own."""
    shift_interpolation: ShiftInterpolation = "none"
    """none: shifts are whole numbers of pixels. Otherwise they are real numbers, and pixels are the nearest ones or
    bilinear (Keras' image generator)."""
    shift_fill: ShiftFill = "zeros"
    """What comes in at the edge of a shifted image: zeros, or the repeated edge (Keras' image generator)."""
    distortions: Distortions = "uniform"
    """How angles, squeezes and places are drawn: uniform, or normal as by Efficient-CapsNet's authors: small ones are
    more likely, and images are placed before they are squeezed."""
    rotation: float = 0.0
    """Turn each training image by up to so many degrees to both sides."""
    rotation_chance: float = 1.0
    """Share of the training images that are turned."""
    squeeze: int = 0
    """Make each training image narrower by up to so many pixels."""
    place: bool = False
    """Move what is not black of each training image to any place in its frame."""
    erase: int | None = None
    """Make a square of this side black at a random place of each training image; None: no square."""
    erase_corners: tuple[int, int] | None = None
    """First and last row and column at which the erased square may begin (default: anywhere in the image)."""
    flip: bool = False
    """Mirror each training image with chance one half, left for right."""
    brightness: float = 0.0
    """Add up to so much to the pixels of a training image, or take it away; white is 255 (the authors: 63)."""
    contrast: float = 0.0
    """Scale the contrast of a training image by 1 less so much to 1 and so much (the authors: 0.8)."""
    color_first: bool = False
    """Change brightness and contrast before the patch is cut out, not after."""

    def __post_init__(self) -> None:
        check_section("augmentation", self)
        if self.shift_interpolation == "none" and self.shift != int(self.shift):
            raise UserError(
                f"shift must be a whole number of pixels, got {self.shift:g}; give shift_interpolation 'bilinear' "
                "for fractions"
            )
        if self.erase_corners is not None:
            if not isinstance(self.erase_corners, tuple) or len(self.erase_corners) != 2:
                raise UserError(f"erase_corners must be two whole numbers, got {self.erase_corners!r}")
            if not self.erase:
                raise UserError("erase_corners needs `erase`, the side of the square")
            first, last = self.erase_corners
            if first > last:
                raise UserError(f"erase_corners must be FIRST LAST, FIRST not above LAST, got {first} and {last}")


@dataclass(frozen=True)
class ModelConfig:
    """The network, and the weights that it starts from.

    Raises:
        UserError: a value out of range.
    """

    name: str = "capsnet"
    """Model."""
    options: Mapping[str, Option] = field(default_factory=dict)
    """More arguments of the model, for example primary_scale=0.03125."""
    routing: str | None = None
    """Routing (capsnet list routings); None: the model's own."""
    routing_options: Mapping[str, Option] = field(default_factory=dict)
    """Options of the routing by its own names, for example bias=true."""
    iterations: int | None = None
    """Routing iterations, the paper's r; None: the model's own number."""
    start_from: str | None = None
    """Weights to start from, of a run, a file or a pretrained model: all tensors that fit, also for other classes."""

    def __post_init__(self) -> None:
        check_section("model", self)
        for name, options in (("model_options", self.options), ("routing_options", self.routing_options)):
            if not isinstance(options, Mapping):
                raise UserError(f"{name} must be a mapping, got {options!r}")
        if "routing_options" in self.options:
            raise UserError("routing_options must be given as an option of their own, not within model_options")


@dataclass(frozen=True)
class OptimizerConfig:
    """How the weights are learned: the optimizer, its learning rate, the length of the run, and the loss's weights.

    Raises:
        UserError: a value out of range, or values that contradict each other.
    """

    name: Optimizer = "adam"
    """Adam, or stochastic gradient descent with momentum (sgd)."""
    epochs: int | None = 20
    """Passes over the training images; None: at least 20, and at least 1,000 steps."""
    steps: int | None = None
    """Stop after this many steps instead; None: after the epochs."""
    stop_at: float | None = None
    """End the run after the first epoch with this accuracy on validation, a share such as 0.99; None: at its length."""
    batch_size: int = 128
    """Images in a step, of all processes together."""
    accumulate: int = 1
    """Compute each batch in this number of parts and add their gradients: less memory, the same step."""
    lr: float = 1e-3
    """Learning rate: at the first step, or at the peak of one-cycle."""
    schedule: Schedule = "exponential"
    """Learning-rate schedule: exponential decay; one-cycle (linear warm-up for 20 % of the steps, then linear to zero);
    or step decay after the epochs in lr-milestones."""
    lr_decay: float = 0.96
    """Factor on the learning rate each lr-decay-steps steps, applied continuously; of step, at each milestone."""
    lr_decay_steps: int | None = 2000
    """Steps of one decay; None: decay once after each epoch."""
    lr_milestones: tuple[int, ...] = ()
    """Epochs after which the step schedule lowers the learning rate, for example 150 250."""
    lr_floor: float = 1e-6
    """The learning rate decays no further than this (the authors: 1e-6)."""
    momentum: float = 0.9
    """Momentum (sgd only)."""
    weight_decay: float = 0.0
    """L2 penalty: this times the weight is added to its gradient."""
    recon_weight: float | None = None
    """Weight of the sum of squared pixel errors (0.0005 is 0.392 x mean for 784 pixels); 0: no decoder; None: 0.0005
    for a model that has a decoder by itself, else 0."""

    def __post_init__(self) -> None:
        check_section("optimizer", self)
        if (self.schedule == "step") != bool(self.lr_milestones):
            raise UserError("schedule step and lr_milestones go together: give both, or neither")

    def total_epochs(self, steps_per_epoch: int) -> int:
        """Passes over the training images, of a run that `steps` does not end."""
        return self.epochs or max(20, -(-1000 // steps_per_epoch))

    def total_steps(self, steps_per_epoch: int) -> int:
        """Steps of the whole run."""
        return self.steps or self.total_epochs(steps_per_epoch) * steps_per_epoch

    def learning_rate(self, step: int, steps_per_epoch: int) -> float:
        """Learning rate of the step with this number, from 0.

        Exponential and step: never below `lr_floor`. One-cycle: Smith, "A disciplined approach to neural network
        hyper-parameters", 2018, with straight lines.
        """
        if self.schedule == "one-cycle":
            total = self.total_steps(steps_per_epoch)
            peak = max(1, round(_RISE * total))
            return self.lr * min((step + 1) / peak, (total - step) / (total - peak + 1))
        epoch = step // steps_per_epoch
        if self.schedule == "step":
            decays: float = sum(epoch >= milestone for milestone in self.lr_milestones)
        else:
            decays = step / self.lr_decay_steps if self.lr_decay_steps else epoch
        rate: float = self.lr * self.lr_decay**decays
        return max(rate, min(self.lr, self.lr_floor))


@dataclass(frozen=True)
class ExecutionConfig:
    """The recipe that a run follows, its seed, and how it is computed.

    Raises:
        UserError: a value out of range.
    """

    recipe: str = "custom"
    """The recipe that this run started from."""
    seed: int = 0
    """Of initialisation, order, shifts and the validation split."""
    device: Device = "auto"
    """Where to compute."""
    precision: Precision = "auto"
    """Of the numbers that convolutions multiply: exact (fp32), of 10 bits (tf32, NVIDIA GPUs only) or of 7 (bf16). auto
    is bf16 where the hardware multiplies in it, else fp32. Sums are in fp32; so is routing, but for its products on a
    GPU."""
    execution: Execution = "auto"
    """How a step is run: operation by operation (eager), by torch.compile, or as one CUDA graph (cuda-graph), of what
    torch.compile makes with compile on a GPU; auto: cuda-graph on a GPU, else eager."""

    def __post_init__(self) -> None:
        check_section("run", self)


SECTIONS: Mapping[str, type] = {
    "data": DataConfig,
    "augmentation": AugmentationConfig,
    "model": ModelConfig,
    "optimizer": OptimizerConfig,
    "run": ExecutionConfig,
}
"""The sections of a configuration, in order."""


class Place(NamedTuple):
    """Where an option is kept."""

    section: str
    field: str


OPTIONS: Mapping[str, Place] = {
    option_name(section, item.name): Place(section, item.name)
    for section, kind in SECTIONS.items()
    for item in fields(kind)
}
"""Every option by its name, section by section."""
