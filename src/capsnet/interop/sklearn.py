"""A capsule network as a scikit-learn estimator.

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", NeurIPS 2017.
"""

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from capsnet.capsules import CapsNetOutput
from capsnet.data import ImageData, hold_out
from capsnet.data.arrays import channels_first
from capsnet.errors import UserError
from capsnet.interop.class_weights import ClassWeight, find_weights
from capsnet.interop.learner import Learner, Progress, make_model
from capsnet.interop.rows import Layout
from capsnet.interop.temperature import find_probabilities, fit_temperature
from capsnet.interop.training_options import Schedule, choose_options
from capsnet.runs.config import RunConfig, object_name
from capsnet.runs.options import make_config

Array = NDArray[Any]

# smallest side without zero padding for the default model: two 9x9 convolutions without padding
_WHOLE_SIDE = 17
_BATCH = 128
# shares of values outside the range above which partial_fit and predictions warn
_MUCH, _OTHER_UNITS = 0.01, 0.1
# factor between the largest values in training and at prediction above which the units differ
_DARK = 10


def _is_calibrated(classifier: "CapsNetClassifier") -> bool:
    if not classifier.calibrate:
        raise AttributeError(
            "lengths of capsules are not probabilities: create the classifier with calibrate=True, or wrap it in "
            "sklearn.calibration.CalibratedClassifierCV"
        )
    return True


class CapsNetClassifier(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Classifies images, or rows of numbers, by the length of class capsules.

    Values are quantised to 256 levels, as in all data sets of this package: uint8 is unchanged, `pixel_range` of other
    values becomes 0 and 255. Features on different scales must be scaled first.

    Args:
        model: name of a model (`capsnet.list_models()`); None: `capsnet-tiny`, with zero padding for images that are
            narrower or lower than 17 pixels.
        model_options: arguments of the model, such as `{"num_types": 8}`.
        image_shape: shape of the images in flat rows: height and width; channels, height, width; or height, width,
            channels. None: rows with a square number of values are square images of one channel, others images of one
            row.
        pixel_range: values that become black and white; None: 0 and 255 for uint8, and for integers whose largest is
            from 26 to 255; 0 and 1 for values within this range; else the smallest and the largest training value.
        epochs: passes over the training images; the maximum with `early_stopping`.
        batch_size: images in a step.
        lr: learning rate: constant with `early_stopping` and in `partial_fit`, else the peak of the one-cycle schedule;
            `options` with a schedule or a decay replace both.
        recon_weight: weight of the reconstruction loss; 0: no decoder; None: 0.0005 for a model with a decoder.
        shift: shift each training image by up to this many pixels.
        options: more options of a run by their names, such as `{"rotation": 10.0, "optimizer": "sgd"}`: routing,
            optimiser, schedule, augmentation, precision.
        class_weight: None; `"balanced"`; or a weight for each class. Training images are drawn in proportion to the
            weight of their class.
        early_stopping: stop when the accuracy on held-out images has not risen for `n_iter_no_change` epochs, and keep
            the weights of the best epoch.
        validation_fraction: share of the training images held out for `early_stopping` or `calibrate`.
        n_iter_no_change: epochs without a better accuracy before training stops.
        calibrate: provide `predict_proba`: the softmax of lengths over a temperature, fitted to held-out images.
        device: `"auto"`, `"cpu"` or `"cuda"`.
        random_state: seed of initialisation, order and held-out images.

    Attributes:
        model_: the trained `CapsuleModel`, for all other functions of this package.
        classes_: labels of the classes, in the order of the class capsules.
        n_iter_: number of epochs trained.
        loss_curve_: mean loss of each epoch.
        validation_scores_: accuracy of each epoch on held-out images; empty without `early_stopping`.
        temperature_: temperature of the probabilities; only with `calibrate`.
        pixel_range_: values that became black and white.
        n_features_in_: numbers in a row; for images, the size of the second axis, as in scikit-learn.

    Example:
        >>> classifier = CapsNetClassifier(epochs=5, random_state=0).fit(images, labels)
        >>> classifier.score(test_images, test_labels)
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        model_options: Mapping[str, object] | None = None,
        image_shape: Sequence[int] | None = None,
        pixel_range: tuple[float, float] | None = None,
        epochs: int = 20,
        batch_size: int = 32,
        lr: float = 3e-3,
        recon_weight: float | None = None,
        shift: int = 0,
        options: Mapping[str, object] | None = None,
        class_weight: ClassWeight = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        calibrate: bool = False,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.model, self.model_options = model, model_options
        self.image_shape, self.pixel_range = image_shape, pixel_range
        self.epochs, self.batch_size, self.lr, self.recon_weight = epochs, batch_size, lr, recon_weight
        self.shift, self.options, self.class_weight = shift, options, class_weight
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.n_iter_no_change, self.calibrate = n_iter_no_change, calibrate
        self.device, self.random_state = device, random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> "CapsNetClassifier":
        """Train a new network.

        Args:
            X: images, or rows of numbers.
            y: a label for each image.

        Shapes:
            X `m f`, `m h w`, `m h w c` or `m c h w`; y `m`.

        Raises:
            UserError: options out of range, images or labels of another form, or a loss that is not finite.
        """
        with self._new_network():
            data, held = self._start(X, y, None), None
            if self.early_stopping or self.calibrate:
                if not 0 < self.validation_fraction < 1:
                    raise UserError(f"validation_fraction must be above 0 and below 1, got {self.validation_fraction}")
                data, held = hold_out(data, self.validation_fraction, seed=self._progress.seed)
            if self.early_stopping and self.n_iter_no_change < 1:
                raise UserError(f"n_iter_no_change must be at least 1, got {self.n_iter_no_change}")
            learner = self._learner(data, "constant" if self.early_stopping else "one-cycle")
            learner.train(held if self.early_stopping else None, self.n_iter_no_change)
            if self.calibrate and held is not None:
                self.temperature_ = fit_temperature(self._lengths(held.images), held.labels.numpy())
        return self

    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> "CapsNetClassifier":
        """Train for one epoch of these images at learning rate `lr`; the first call creates the network.

        Args:
            X: as in `fit`. Without `pixel_range`, the first call decides it; set it if later values may exceed it.
            y: as in `fit`.
            classes: all possible labels; required in the first call.

        Raises:
            UserError: as `fit`; or what needs all images or the length of the training: `calibrate`, a balanced
                `class_weight`, the one-cycle schedule.
        """
        if self.calibrate:
            raise UserError(
                "partial_fit holds no images out, so calibrate must be False; use fit, or wrap the classifier"
            )
        if self.class_weight == "balanced":
            raise UserError(
                "partial_fit sees only a part of the images, so class_weight cannot be 'balanced'; give the weight of "
                "each class, from sklearn.utils.compute_class_weight"
            )
        if (self.options or {}).get("schedule") == "one-cycle":
            raise UserError("partial_fit has no last step, so schedule cannot be one-cycle; use exponential, or fit")
        if not hasattr(self, "model_"):
            if classes is None:
                raise UserError("classes must be given in the first call of partial_fit: all possible labels")
            with self._new_network():
                self._learner(self._start(X, y, classes), "constant").train_epoch()
            return self
        X, y = self._check_both(X, y, reset=False)
        if classes is not None and not np.array_equal(np.unique(np.asarray(classes)), self.classes_):
            raise UserError(f"classes must be those of the first call, {self.classes_}, got {np.asarray(classes)}")
        data = self._to_data(X, y)
        self._warn_of_units(X, _MUCH)
        self._learner(data, "constant").train_epoch()
        return self

    def decision_function(self, X: ArrayLike) -> Array:
        """Lengths of the class capsules; for two classes, the length of the second minus that of the first.

        Shapes:
            result `m n`, or `m` for two classes.
        """
        lengths = self._lengths(self._pixels(X))
        return lengths[:, 1] - lengths[:, 0] if len(self.classes_) == 2 else lengths

    def predict(self, X: ArrayLike) -> Array:
        """The label of the longest class capsule of each image."""
        longest = self._lengths(self._pixels(X)).argmax(axis=1)
        labels: Array = self.classes_[longest]
        return labels

    @available_if(_is_calibrated)  # type: ignore[untyped-decorator] # scikit-learn has no types
    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities of the classes, calibrated on held-out images; only with `calibrate=True`.

        Shapes:
            result `m n`.
        """
        check_is_fitted(self, "temperature_")
        return find_probabilities(self._lengths(self._pixels(X)), self.temperature_)

    def transform(self, X: ArrayLike) -> Array:
        """Poses of the class capsules, concatenated class by class.

        Shapes:
            result `m n*d`.
        """
        return np.concatenate([output.capsules.poses.flatten(1).cpu().numpy() for output in self._run(self._pixels(X))])

    def reconstruct(self, X: ArrayLike, y: ArrayLike | None = None) -> Array:
        """Reconstruct images from class capsules, in the shape and range of X.

        Args:
            X: images or rows.
            y: labels of the capsules to decode; None: the longest.

        Raises:
            UserError: a model without a decoder, or labels that are unknown or not one for each image.
        """
        pixels = self._pixels(X)
        labels = None if y is None else np.atleast_1d(y)
        if labels is not None and len(labels) != len(pixels):
            raise UserError(f"y must have a label for each of the {len(pixels)} images, got {len(labels)}")
        chosen = None if labels is None else torch.from_numpy(self._encode(labels)).split(_BATCH)
        drawn = []
        for position, output in enumerate(self._run(pixels)):
            some = None if chosen is None else chosen[position].to(self.model_.device)
            with torch.inference_mode():
                drawn.append(self.model_.reconstruct(output.capsules, some).cpu())
        return self._layout.to_array(torch.cat(drawn).numpy())

    @property
    def n_iter_(self) -> int:
        """Epochs trained."""
        return len(self._progress.losses)

    @property
    def loss_curve_(self) -> list[float]:
        """Mean loss of each epoch."""
        return self._progress.losses

    @property
    def validation_scores_(self) -> list[float]:
        """Accuracy of each epoch on held-out images."""
        return self._progress.scores

    @property
    def pixel_range_(self) -> tuple[float, float]:
        """Values that became black and white."""
        return self._layout.pixel_range

    @property
    def _n_features_out(self) -> int:
        return len(self.classes_) * self.model_.pose_dim

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        # poses are float32, whatever the images were
        tags.transformer_tags.preserves_dtype = []
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __getstate__(self) -> dict[str, object]:
        """A network on a GPU is pickled on the CPU, so that machines without a GPU can load it."""
        state: dict[str, object] = dict(super().__getstate__())
        if "model_" in state and self.model_.device.type != "cpu":
            state |= {"model_": copy.deepcopy(self.model_).cpu(), "_progress": self._progress.on_cpu()}
        return state

    @contextmanager
    def _new_network(self) -> Iterator[None]:
        """Forget what was fitted before; forget the new network too if its training does not end: it would answer."""
        self._forget()
        try:
            yield
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        for name in ("model_", "classes_", "temperature_", "_layout", "_progress"):
            self.__dict__.pop(name, None)

    def _start(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None) -> ImageData:
        """Check the data and create a network for it."""
        X, y = self._check_both(X, y, reset=True)
        self.classes_ = np.unique(y if classes is None else np.asarray(classes))
        if len(self.classes_) < 2:
            raise UserError(f"at least two classes are needed, got 1 class: {str(self.classes_[0])!r}")
        self._layout = Layout.of(X, self.image_shape, self.pixel_range)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._progress = Progress(seed, [], [])
        data = self._to_data(X, y)
        # 8-bit images need no range
        pixel_range = None if self.pixel_range_ == (0, 255) else self.pixel_range_
        self.model_ = make_model(self._config("one-cycle"), data, pixel_range)
        return data

    def _learner(self, data: ImageData, schedule: Schedule) -> Learner:
        weights = find_weights(self.class_weight, self.classes_, data.labels)
        return Learner(self.model_, data, self._config(schedule), self._progress, class_weights=weights)

    def _config(self, schedule: Schedule) -> RunConfig:
        given = {
            "data": object_name("arrays"),
            "model": self.model or "capsnet-tiny",
            "model_options": self._model_options(),
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "lr": self.lr,
            "recon_weight": self.recon_weight,
            "shift": self.shift,
            "device": self.device,
            "seed": self._progress.seed,
        }
        return make_config(RunConfig(), {**given, **choose_options(self.options or {}, schedule)})

    def _model_options(self) -> dict[str, object]:
        small = min(channels_first(np.empty((1, *self._layout.image_shape))).shape[2:]) < _WHOLE_SIDE
        own = {"padding": "same"} if self.model is None and small else {}
        return {**own, **(self.model_options or {})}

    def _check_both(self, X: ArrayLike, y: ArrayLike, *, reset: bool) -> tuple[Array, Array]:
        checked: tuple[Array, Array] = validate_data(self, X, y, reset=reset, allow_nd=True)
        check_classification_targets(checked[1])
        return checked

    def _to_data(self, X: Array, y: Array) -> ImageData:
        labels = torch.from_numpy(self._encode(y))
        return ImageData(self._layout.to_pixels(X), labels, tuple(map(str, self.classes_)))

    def _encode(self, y: Array) -> Array:
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise UserError(
                f"unknown class {str(unknown[0])!r} in y; the known classes are {', '.join(map(str, self.classes_))}"
            )
        return np.searchsorted(self.classes_, y)

    def _pixels(self, X: ArrayLike) -> Tensor:
        check_is_fitted(self)
        images: Array = validate_data(self, X, reset=False, allow_nd=True)
        pixels = self._layout.to_pixels(images)
        # new images exceed the range of the training images now and then
        self._warn_of_units(images, _OTHER_UNITS)
        return pixels

    def _warn_of_units(self, X: Array, most: float) -> None:
        (low, high), beyond = self.pixel_range_, self._layout.share_beyond(X)
        brightest = float(X.max())
        if beyond > most:
            warnings.warn(
                f"{100 * beyond:.0f} % of the values are outside {low:g} to {high:g}, the range of the first training "
                "images, and are clipped; scale them as those were, or give pixel_range",
                stacklevel=3,
            )
        elif low >= 0 and high > _DARK * brightest and 0 < brightest <= 1 and not bool((np.floor(X) == X).all()):
            warnings.warn(
                f"the largest value is {brightest:g}, in the first training images {high:g}; scale all to one range",
                stacklevel=3,
            )

    def _run(self, pixels: Tensor) -> Iterator[CapsNetOutput]:
        for images in pixels.split(_BATCH):
            with torch.inference_mode():
                yield self.model_(self.model_.inputs(images.to(self.model_.device)))

    def _lengths(self, pixels: Tensor) -> Array:
        return np.concatenate([output.lengths.float().cpu().numpy() for output in self._run(pixels)])
