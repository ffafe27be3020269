"""What a run is, as data. Its fields are the options of `capsnet train`, its values recipes, its JSON `config.json`."""

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import methodcaller
from typing import Literal, cast, get_args

from capsnet.errors import UserError
from capsnet.runs.bounds import BOUNDS
from capsnet.runs.formats import upgrade_config
from capsnet.runs.limits import check_limits
from capsnet.runs.typed import convert, parse_json

FORMAT_VERSION = 2

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "fp32", "tf32", "bf16"]
Execution = Literal["auto", "eager", "compile", "cuda-graph"]
Optimizer = Literal["adam", "sgd"]
Schedule = Literal["exponential", "one-cycle", "step"]
ShiftInterpolation = Literal["none", "nearest", "bilinear"]
ShiftFill = Literal["zeros", "edge"]
Distortions = Literal["uniform", "normal"]
Option = bool | int | float | str


_OBJECT = "custom: "


def object_name(name: str) -> str:
    """What a configuration says of a model or a data set that was given as an object."""
    return _OBJECT + name


def is_object(name: str) -> bool:
    """Whether an entry `model` or `data` stands for an object of the user's, which no file holds."""
    return name.startswith(_OBJECT)


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides what a run computes.

    Raises:
        UserError: a value out of range.
    """

    recipe: str = "custom"
    """The recipe that this run started from."""
    data: str = "digits"
    """Data set: a name (capsnet list data), a folder with a folder of images for each class, or a .npz or .csv file."""
    data_dir: str | None = None
    """Folder that holds named data sets; the default is $CAPSNET_DATA_DIR, then the cache, then a download."""
    image_size: int = 32
    """Side to which one's own images are scaled (data sets by name keep theirs)."""
    skip_unreadable: bool = False
    """Leave out files of an image folder that are no images, in place of an error."""
    pixel_range: tuple[float, float] | None = None
    """Values of the image files that become black and white, for files of more than 8 bits (default: the range of the
    data set)."""
    model: str = "capsnet"
    """Model (capsnet list models)."""
    model_options: Mapping[str, Option] = field(default_factory=dict)
    """More arguments of the model, for example primary_scale=0.03125 routing_bias=true."""
    routing: str | None = None
    """Routing (capsnet list routings); None: the model's own."""
    iterations: int | None = None
    """Routing iterations, the paper's r; None: the model's own number."""
    start_from: str | None = None
    """Weights to start from, of a run, a file or a pretrained model: all tensors that fit, also for other classes."""
    epochs: int = 20
    """Passes over the training images (0: at least 20, and at least 1,000 steps)."""
    steps: int = 0
    """Stop after this many steps instead (0: after the epochs)."""
    batch_size: int = 128
    """Images in a step, of all processes together."""
    accumulate: int = 1
    """Compute each batch in this number of parts and add their gradients: less memory, the same step."""
    optimizer: Optimizer = "adam"
    """Adam, or stochastic gradient descent with momentum (sgd)."""
    momentum: float = 0.9
    """Momentum (sgd only)."""
    weight_decay: float = 0.0
    """L2 penalty: this times the weight is added to its gradient."""
    lr: float = 1e-3
    """Learning rate: at the first step, or at the peak of one-cycle."""
    schedule: Schedule = "exponential"
    """Learning-rate schedule: exponential decay; one-cycle (linear warm-up for 20 % of the steps, then linear to zero);
    or step decay after the epochs in lr-milestones."""
    lr_decay: float = 0.96
    """Factor on the learning rate each lr-decay-steps steps, applied continuously; of step, at each milestone."""
    lr_decay_steps: int = 2000
    """Steps of one decay; 0: decay once after each epoch."""
    lr_milestones: tuple[int, ...] = ()
    """Epochs after which the step schedule lowers the learning rate, for example 150 250."""
    lr_floor: float = 1e-6
    """The learning rate decays no further than this (the authors: 1e-6)."""
    recon_weight: float | None = None
    """Weight of the sum of squared pixel errors (0.0005 is 0.392 x mean for 784 pixels); 0: no decoder; None: 0.0005
    for a model that has a decoder by itself, else 0."""
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
    erase: int = 0
    """Make a square of this side black at a random place of each training image (0: none)."""
    erase_corners: tuple[int, int] | None = None
    """First and last row and column at which the erased square may begin (default: anywhere in the image)."""
    enlarge: int = 0
    """Scale all images up to so many pixels a side first (0: they keep their size)."""
    shrink: int = 0
    """Scale all images down to so many pixels a side first (0: they keep their size)."""
    crop: int = 0
    """Side of the patch that the network sees: at a random place in training, else the middle (0: whole images)."""
    flip: bool = False
    """Mirror each training image with chance one half, left for right."""
    brightness: float = 0.0
    """Add up to so much to the pixels of a training image, or take it away; white is 255 (the authors: 63)."""
    contrast: float = 0.0
    """Scale the contrast of a training image by 1 less so much to 1 and so much (the authors: 0.8)."""
    color_first: bool = False
    """Change brightness and contrast before the patch is cut out, not after."""
    standardize: bool = False
    """Give each input zero mean and unit variance, in place of pixels in [0, 1]."""
    pairs_per_digit: int = 1
    """Test pairs of each digit, of data that are pairs (the paper: 1000)."""
    validation: int | float = 0.1
    """Training images held out to choose the best weights: a share below 1, or a number; 0: the last are kept."""
    validation_shift: int = 0
    """Move each image that is held out by up to so many pixels, once: validation on moved images."""
    stop_at: float = 0.0
    """End the run after the first epoch with this accuracy on validation, a share such as 0.99 (0: at its length)."""
    balance: bool = False
    """Draw the training images of an epoch from all classes equally often, for classes of very different sizes."""
    limit: int = 0
    """Use so many training images only (0: all)."""
    test_limit: int = 0
    """Test on so many of the test images only, drawn once for all seeds (0: all)."""
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
        for name, bound in BOUNDS.items():
            value = getattr(self, name)
            # None: the model's own
            if value is not None:
                bound.check(name, value)
        for item in dataclasses.fields(RunConfig):
            if item.type is bool and not isinstance(getattr(self, item.name), bool):
                raise UserError(f"{item.name} must be true or false, got {getattr(self, item.name)!r}")
        if self.validation >= 1 and self.validation != int(self.validation):
            raise UserError(f"validation must be a share below 1 or a whole number of images, got {self.validation}")
        if (self.schedule == "step") != bool(self.lr_milestones):
            raise UserError("schedule step and lr_milestones go together: give both, or neither")
        if self.stop_at and not self.validation:
            raise UserError("stop_at needs images held out: `validation` is 0; give a share such as 0.1")
        if self.pixel_range is not None:
            low, high = self.pixel_range
            # a NaN is not below anything
            if not -math.inf < low < high < math.inf:
                raise UserError(f"pixel_range must be finite numbers LOW below HIGH, got {low:g} and {high:g}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UserError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        self._check_augmentation()

    def _check_augmentation(self) -> None:
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

    @classmethod
    def from_options(cls, recipe: str = "quickstart", **options: object) -> "RunConfig":
        """The configuration of a recipe, changed by options: the fields of this class by their names.

        Args:
            recipe: its name; of images of one's own, `"quickstart"` stands for `"own-images"`.
            options: such as `epochs=1`, `batch_size=16`, `lr=1e-3`.

        Raises:
            UserError: an unknown recipe or option, or a value out of range.

        Example:
            >>> RunConfig.from_options("sabour2017-mnist", epochs=1).batch_size
            128
        """
        # imported late: recipes are made of what this file defines
        from capsnet.runs.options import make_config

        return make_config(recipe, options)

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

    def to_json(self) -> str:
        """The text of `config.json`; numbers may be NumPy's."""
        values = {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}
        return json.dumps(values, indent=2, default=methodcaller("item")) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "RunConfig":
        """Read `config.json`.

        Raises:
            UserError: text that is no configuration, one of a newer version, or an entry of another type or above its
                limit.
        """
        values = parse_json(text, "config.json")
        version = values.pop("format_version", None) if isinstance(values, dict) else None
        if not isinstance(values, dict) or not isinstance(version, int):
            raise UserError("config.json is not that of a run (it has no format_version)")
        if version > FORMAT_VERSION:
            raise UserError(
                f"the run is from a newer capsnet (format {version}, this one reads up to {FORMAT_VERSION}); "
                "upgrade capsnet"
            )
        check_limits(values, "config.json")
        if version < 2:
            values = upgrade_config(values)
        return cast(RunConfig, convert(values, cls, "config.json"))


_CHOICES = {
    name: get_args(literal)
    for name, literal in (
        ("device", Device),
        ("precision", Precision),
        ("execution", Execution),
        ("optimizer", Optimizer),
        ("schedule", Schedule),
        ("shift_interpolation", ShiftInterpolation),
        ("shift_fill", ShiftFill),
        ("distortions", Distortions),
    )
}
# share of the run in which the rate of one-cycle rises
_RISE = 0.2
