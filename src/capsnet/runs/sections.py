"""The sections of a run's configuration: its data, augmentation, model, optimizer and the run itself.

None stands for a default that depends on the model or the data: the model's own routing, all images.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, NamedTuple

from capsnet.data.shards import Shards
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
Scalar = bool | int | float | str
Option = Scalar | tuple[Scalar | tuple[Scalar, ...], ...]

# share of the steps in the linear warm-up of one-cycle
_WARM_UP = 0.2


@dataclass(frozen=True)
class DataConfig:
    """The images for training, validation and testing.

    Raises:
        UserError: a value out of range.
    """

    name: str = "digits"
    """Data set: a name, a folder with a folder of images for each class, .tar files ('a-{000..009}.tar'), hf:NAME, or a
    .npz or .csv file."""
    data_dir: str | None = None
    """Folder of named data sets; default: $CAPSNET_DATA_DIR, then the cache, then a download."""
    image_size: int = 32
    """Side in pixels to which your own images are scaled (named data sets keep their size)."""
    skip_unreadable: bool = False
    """Skip files of an image folder that are not readable images; without it, they are an error."""
    pixel_range: tuple[float, float] | None = None
    """Pixel values that become black and white, for image files of more than 8 bits (default: the range of the data
    set)."""
    shards: Shards | None = None
    """Keep prepared photos in memory-mapped files: always or never; None: if they exceed a quarter of the free
    memory."""
    limit: int | None = None
    """Number of training images; None: all."""
    test_limit: int | None = None
    """Number of test images, the same ones for all seeds; None: all."""
    validation: int | float = 0.1
    """Training images held out to select the best weights: a share below 1, or a number; 0: keep the last weights."""
    validation_shift: int = 0
    """Validate on shifted images: each validation image is shifted once, by up to this many pixels."""
    balance: bool = False
    """Sample all classes equally often in training, for classes of very different sizes."""
    pairs_per_digit: int = 1
    """Test pairs of each digit, for data sets of pairs (the paper: 1000)."""

    def __post_init__(self) -> None:
        check_section("data", self)
        if self.validation >= 1 and self.validation != int(self.validation):
            raise UserError(f"validation must be a share below 1 or a whole number of images, got {self.validation}")
        if self.pixel_range is not None:
            low, high = self.pixel_range
            # NaN fails every comparison
            if not -math.inf < low < high < math.inf:
                raise UserError(f"pixel_range must be finite numbers LOW below HIGH, got {low:g} and {high:g}")


@dataclass(frozen=True)
class AugmentationConfig:
    """Preprocessing of all images, and augmentation of training images.

    Raises:
        UserError: a value out of range, or values that contradict each other.
    """

    enlarge: int | None = None
    """First scale all images up to this side in pixels; None: keep their size."""
    shrink: int | None = None
    """First scale all images down to this side in pixels; None: keep their size."""
    crop: int | None = None
    """Side of the crop that the network gets: random in training, central otherwise; None: whole images."""
    standardize: bool = False
    """Normalise each input to zero mean and unit variance, instead of pixels in [0, 1]."""
    shift: int | float = 2
    """Shift each training image by up to this many pixels in both directions; the digits of a pair shift separately."""
    shift_interpolation: ShiftInterpolation = "none"
    """Interpolation of shifts by fractions of pixels, as in Keras' image generator; none: shift by whole pixels."""
    shift_fill: ShiftFill = "zeros"
    """Fill for the border of a shifted image: zeros, or the repeated edge (Keras' image generator)."""
    distortions: Distortions = "uniform"
    """Distribution of rotation, squeeze and place: uniform, or normal as in Efficient-CapsNet's code, which makes small
    changes more likely and places images before it squeezes them."""
    rotation: float = 0.0
    """Rotate each training image by up to this many degrees in either direction."""
    rotation_chance: float = 1.0
    """Share of the training images that are rotated."""
    squeeze: int = 0
    """Make each training image narrower by up to this many pixels."""
    place: bool = False
    """Move the digit or object of each training image, all that is not black, to a random position in the frame."""
    erase: int | None = None
    """Black out a square of this side at a random position in each training image; None: no square."""
    erase_corners: tuple[int, int] | None = None
    """Smallest and largest row and column of the erased square's upper left pixel (default: anywhere)."""
    flip: bool = False
    """Flip each training image horizontally with probability 0.5."""
    brightness: float = 0.0
    """Change the brightness of each training image by up to this much, up or down; white is 255 (the authors: 63)."""
    contrast: float = 0.0
    """Scale the contrast of each training image by 1 - this to 1 + this (the authors: 0.8)."""
    color_first: bool = False
    """Change brightness and contrast before cropping, not after."""

    def __post_init__(self) -> None:
        check_section("augmentation", self)
        if self.shift_interpolation == "none" and self.shift != int(self.shift):
            raise UserError(
                f"shift must be a whole number of pixels, got {self.shift:g}; give shift_interpolation 'bilinear' "
                "for fractions"
            )
        if self.erase_corners is not None:
            if not self.erase:
                raise UserError("erase_corners needs `erase`, the side of the square")
            first, last = self.erase_corners
            if first > last:
                raise UserError(f"erase_corners must be FIRST LAST, FIRST not above LAST, got {first} and {last}")


@dataclass(frozen=True)
class ModelConfig:
    """The network, and its initial weights.

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
    """Options of the routing, for example bias=true."""
    iterations: int | None = None
    """Routing iterations, the paper's r; None: the model's own number."""
    start_from: str | None = None
    """Initial weights, from a run, a file or a pretrained model: all tensors whose shape fits; classes may differ."""

    def __post_init__(self) -> None:
        check_section("model", self)
        for name, options in (("model_options", self.options), ("routing_options", self.routing_options)):
            if not isinstance(options, Mapping):
                raise UserError(f"{name} must be a mapping, got {options!r}")
        if "routing_options" in self.options:
            raise UserError("routing_options must be given separately, not within model_options")


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer, the learning rate, the length of the run, and the weight of the reconstruction loss.

    Raises:
        UserError: a value out of range, or values that contradict each other.
    """

    name: Optimizer = "adam"
    """Adam, or stochastic gradient descent with momentum (sgd)."""
    epochs: int | None = 20
    """Passes over the training images; None: at least 20, and at least 1,000 steps."""
    steps: int | None = None
    """Stop after this many steps; None: stop after the epochs."""
    stop_at: float | None = None
    """Early stopping: end after the first epoch with this validation accuracy, such as 0.99; None: never."""
    batch_size: int = 128
    """Images per step, over all processes."""
    accumulate: int = 1
    """Gradient accumulation: split each batch into this many parts, which takes less memory. The step is the same,
    except for batch normalisation."""
    lr: float = 1e-3
    """Learning rate: at the first step, or at the peak of one-cycle."""
    schedule: Schedule = "exponential"
    """Learning-rate schedule: exponential decay; one-cycle (linear warm-up for 20 % of the steps, then linear to zero);
    or step decay after the epochs in lr-milestones."""
    lr_decay: float = 0.96
    """Learning-rate factor per lr-decay-steps steps, applied continuously (the schedule is then exponential, unless
    another is given); with the step schedule, per milestone."""
    lr_decay_steps: int | None = 2000
    """Steps per decay; None: decay after each epoch."""
    lr_milestones: tuple[int, ...] = ()
    """Epochs after which the step schedule lowers the learning rate, for example 150 250."""
    lr_floor: float = 1e-6
    """Smallest learning rate after decay (the authors: 1e-6)."""
    backbone_lr: float = 1.0
    """Learning rate of a backbone that is tuned (frozen=false), as a share of lr, for example 0.1."""
    momentum: float = 0.9
    """Momentum (sgd only)."""
    weight_decay: float = 0.0
    """L2 penalty: this times the weight is added to its gradient."""
    recon_weight: float | None = None
    """Weight of the reconstruction loss, a sum over pixels (for 784 pixels, 0.0005 equals 0.392 on the mean); 0: no
    decoder; None: 0.0005 for a model with a decoder by default, else 0."""

    def __post_init__(self) -> None:
        check_section("optimizer", self)
        if (self.schedule == "step") != bool(self.lr_milestones):
            raise UserError("schedule step and lr_milestones go together: give both, or neither")

    def total_epochs(self, steps_per_epoch: int) -> int:
        """Passes over the training images, if `steps` does not limit the run."""
        return self.epochs or max(20, -(-1000 // steps_per_epoch))

    def total_steps(self, steps_per_epoch: int) -> int:
        """Steps of the whole run."""
        return self.steps or self.total_epochs(steps_per_epoch) * steps_per_epoch

    def learning_rate(self, step: int, steps_per_epoch: int) -> float:
        """Learning rate of a step, counted from 0.

        Exponential and step: never below `lr_floor`. One-cycle: Smith, "A disciplined approach to neural network
        hyper-parameters", 2018, piecewise linear.
        """
        if self.schedule == "one-cycle":
            total = self.total_steps(steps_per_epoch)
            peak = max(1, round(_WARM_UP * total))
            # at its end the rate is zero, and never below
            return self.lr * max(0.0, min((step + 1) / peak, (total - step) / (total - peak + 1)))
        epoch = step // steps_per_epoch
        if self.schedule == "step":
            decays: float = sum(epoch >= milestone for milestone in self.lr_milestones)
        else:
            decays = step / self.lr_decay_steps if self.lr_decay_steps else epoch
        decayed: float = self.lr * self.lr_decay**decays
        return max(decayed, min(self.lr, self.lr_floor))


@dataclass(frozen=True)
class ExecutionConfig:
    """The recipe of a run, its seed, device, precision and execution.

    Raises:
        UserError: a value out of range.
    """

    recipe: str = "custom"
    """The recipe that the configuration started from."""
    seed: int = 0
    """Random seed: initialisation, batches, augmentation and the validation split."""
    device: Device = "auto"
    """Device; auto: the GPU if there is one."""
    precision: Precision = "auto"
    """Precision of convolutions: fp32, tf32 (10-bit mantissa, NVIDIA GPUs only) or bf16 (7-bit mantissa); auto: bf16 if
    the hardware supports it, else fp32. Sums are in fp32; so is routing, except for its products on a GPU."""
    execution: Execution = "auto"
    """How a step is run: eager (operation by operation), compile (torch.compile, on a GPU captured as a CUDA graph) or
    cuda-graph (one CUDA graph, without torch.compile); auto: cuda-graph on a GPU, else eager."""
    fixed_order: bool = False
    """On a CPU, add numbers in the same order whatever the number of threads: the same seed then gives the same bits
    with any. Networks of many convolutions then take about twice as long with two threads."""

    def __post_init__(self) -> None:
        check_section("run", self)
        if self.fixed_order and self.execution == "compile":
            raise UserError("fixed_order needs execution eager, got compile, whose sums it does not reach")


SECTIONS: Mapping[str, type] = {
    "data": DataConfig,
    "augmentation": AugmentationConfig,
    "model": ModelConfig,
    "optimizer": OptimizerConfig,
    "run": ExecutionConfig,
}
"""The sections of a configuration, in order."""


class OptionField(NamedTuple):
    """Section and field of an option."""

    section: str
    field: str


OPTIONS: Mapping[str, OptionField] = {
    option_name(section, item.name): OptionField(section, item.name)
    for section, dataclass_type in SECTIONS.items()
    for item in fields(dataclass_type)
}
"""Every option by its name, section by section."""
