"""The data of a run's figures, and the registry of figures."""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor

from capsnet.analysis import Record, analyse
from capsnet.analysis.record import analysis_path, choose, fingerprint, read_record, write_record
from capsnet.capsules import Capsules
from capsnet.data import Dataset, ImageData
from capsnet.data.pairs import Pairing, draw_pairs
from capsnet.errors import UserError
from capsnet.figures.fidelity import Fidelity, compare_with_mean
from capsnet.inference.evaluate import Evaluation, match_classes, predict_batches
from capsnet.inference.pair_metrics import find_pairs, match_found
from capsnet.models import CapsuleModel
from capsnet.registry import Registry
from capsnet.runs.data import load_dataset
from capsnet.runs.folder import Run

MAX_IMAGES, _BATCH = 1000, 256

Drawing = Callable[[], Figure]


@dataclass(frozen=True)
class Sample:
    """Test images with the network's predictions.

    Args:
        data: the images, as the network receives them.
        capsules: class capsules of each image.
        predicted: class index of each image's longest capsule.

    Shapes:
        capsules `m n d` and `m n`; predicted `m`.
    """

    data: ImageData
    capsules: Capsules
    predicted: Int[Tensor, " m"]

    @property
    def correct(self) -> Tensor:
        """Which images are classified correctly."""
        return self.predicted == self.data.labels

    def pick(self, indices: Int[Tensor, " _"]) -> "Sample":
        """The images at `indices`."""
        poses, lengths = self.capsules[:2]
        return Sample(self.data.select(indices), Capsules(poses[indices], lengths[indices]), self.predicted[indices])


@torch.no_grad()
def sample_images(model: CapsuleModel, data: ImageData, count: int = MAX_IMAGES) -> Sample:
    """Run a model on the first images of each class, about `count` in total."""
    selection = data.select(first_of_each_class(data.labels, len(data.class_names), count))
    batches = [(inputs, output) for inputs, _, output in predict_batches(model, selection, batch_size=64)]
    outputs = [output for _, output in batches]
    images = torch.cat([(255 * inputs).round().to(torch.uint8).cpu() for inputs, _ in batches])
    poses = torch.cat([output.capsules.poses for output in outputs]).cpu()
    lengths = torch.cat([output.lengths for output in outputs]).cpu()
    return Sample(replace(selection, images=images), Capsules(poses, lengths), lengths.argmax(dim=1))


@torch.no_grad()
def sample_pairs(model: CapsuleModel, data: ImageData, pairing: Pairing, count: int = MAX_IMAGES) -> Sample:
    """Run a model on pairs whose base digits are the first images of each class.

    A pair has the class of its base digit. If that digit is one of the two predicted, it counts as the prediction.
    """
    chosen = first_of_each_class(data.labels, len(data.class_names), count)
    pairs = draw_pairs(data.images, data.labels, chosen, pairing, torch.Generator().manual_seed(pairing.seed))
    sample = sample_images(model, ImageData(pairs.images, pairs.labels[:, 0], data.class_names), count)
    matched = match_found(find_pairs(sample.capsules.activations), pairs.labels)
    return replace(sample, predicted=matched[:, 0])


def first_of_each_class(labels: Int[Tensor, " m"], classes: int, count: int) -> Int[Tensor, " _"]:
    """Indices of about `count` images, the same number from each class (at least one), ordered by class."""
    each = max(1, -(-count // classes))
    return torch.cat([(labels == label).nonzero()[:each, 0] for label in range(classes)])


def different_classes(sample: Sample, count: int = 6) -> Int[Tensor, " _"]:
    """Indices of one image of each of a few evenly spaced classes: the first correctly classified one, if any."""
    present = torch.tensor(sorted(set(sample.data.labels.tolist())))
    places = torch.linspace(0, len(present) - 1, min(count, len(present))).round().long()
    chosen = []
    for label in present[places]:
        members = (sample.data.labels == label).nonzero()[:, 0]
        correct = members[sample.correct[members]]
        chosen.append(correct[0] if len(correct) else members[0])
    return torch.stack(chosen)


def reconstruct(
    model: CapsuleModel, capsules: Capsules, labels: Int[Tensor, " b"] | None = None
) -> Float[Tensor, "b c h w"]:
    """Reconstruct images from class capsules.

    Raises:
        UserError: the model has no decoder.
    """
    if not model.has_decoder:
        raise UserError("the model has no decoder")
    device = model.device
    on_device = Capsules(capsules.poses.to(device), capsules.activations.to(device))
    with torch.no_grad():
        images = model.reconstruct(on_device, None if labels is None else labels.to(device))
    return images.cpu()


def measure_fidelity(model: CapsuleModel, sample: Sample) -> Fidelity:
    """Compare reconstructions from the longest capsules with the mean image.

    Raises:
        UserError: the model has no decoder.
    """
    batches = torch.arange(len(sample.data)).split(_BATCH)
    drawn = [reconstruct(model, sample.pick(indices).capsules) for indices in batches]
    return compare_with_mean(sample.data.images.float() / 255, torch.cat(drawn))


class Subject:
    """A run, with its model and test images loaded on first use.

    Args:
        run: the run.
        dataset: its data set; None: loaded with the run's settings.
    """

    def __init__(self, run: Run, dataset: Dataset | None = None) -> None:
        self.run, self._dataset = run, dataset
        self._records: dict[str, Record | UserError] = {}

    @cached_property
    def model(self) -> CapsuleModel:
        """The run's best weights.

        Raises:
            UserError: the run has no weights yet.
        """
        return self.run.load_model()

    @property
    def dataset(self) -> Dataset:
        """The run's data set."""
        return self.find_dataset()

    def find_dataset(self) -> Dataset:
        """Load the run's data set, once.

        Raises:
            UserError: the data set is no longer available.
        """
        loaded = self._loaded
        if isinstance(loaded, UserError):
            raise loaded
        return loaded

    @cached_property
    def _loaded(self) -> Dataset | UserError:
        # cache a failure too: a second attempt might start another download
        if self._dataset is not None:
            return self._dataset
        try:
            return load_dataset(self.run.config)
        except UserError as fault:
            return fault

    @cached_property
    def sample(self) -> Sample:
        """Test images of every class with the model's predictions."""
        dataset = self.dataset
        test = match_classes(dataset.test, self.model, dataset.name, dataset.pairing)
        if dataset.pairing is not None:
            return sample_pairs(self.model, test, dataset.pairing)
        return sample_images(self.model, test)

    @cached_property
    def fidelity(self) -> Fidelity | None:
        """Reconstruction quality on the test images; None without a decoder, or if images are pairs.

        A capsule reconstructs one digit of a pair, so its error against the whole image is no measure.
        """
        if not self.model.has_decoder or self.model.pairing is not None:
            return None
        return measure_fidelity(self.model, self.sample)

    @cached_property
    def test(self) -> Evaluation:
        """The run's test result.

        Raises:
            UserError: it has none yet.
        """
        result = self.run.evaluation()
        if result is None:
            raise UserError(" ".join(self.run.explain_missing_result()))
        return Evaluation.from_dict(result["test"])

    def record(self, name: str) -> Record:
        """An analysis of the run: from its folder, or computed now on a small sample and saved there.

        Raises:
            UserError: the analysis is not possible for this run.
        """
        if name not in self._records:
            try:
                self._records[name] = self._find_record(name)
            except UserError as fault:
                self._records[name] = fault
        record = self._records[name]
        if isinstance(record, UserError):
            raise record
        return record

    def _find_record(self, name: str) -> Record:
        kept, weights = read_record(self.run, name), fingerprint(self.run)
        if kept is not None:
            if kept["weights"] == weights:
                return kept
            if not kept["quick"]:
                path = analysis_path(self.run, name)
                print(
                    f"capsnet: {path} was computed with other weights; capsnet analyse --overwrite recomputes it",
                    file=sys.stderr,
                )
        record = analyse(self.model, self.dataset, name, quick=True, weights=weights)
        if kept is None or kept["quick"]:
            write_record(self.run, record)
        return record

    def images_of(self, record: Record) -> ImageData:
        """The images that an analysis used, in its order."""
        split = self.dataset.test if record["split"] == "test" else self.dataset.train
        return choose(match_classes(split, self.model, self.dataset.name), record["n"], seed=record["seed"])

    @property
    def class_names(self) -> tuple[str, ...]:
        """The model's class names."""
        return self.model.class_names


@dataclass(frozen=True)
class FigureKind:
    """One figure, or one for each class.

    Args:
        drawings: file names (without .png) and a function that draws each; raises UserError if it cannot be drawn.
        caption: one or two sentences on how to read it; a function if it depends on the run.
        place: its position in a report, lowest first.
        charts: whether it has lines and bars only; in dark mode a report inverts these, and dims pictures.
    """

    drawings: Callable[[Subject], Mapping[str, Drawing]]
    caption: str | Callable[[Subject], str]
    place: int
    charts: bool = False

    def describe(self, subject: Subject) -> str:
        """The caption of the figure of a run."""
        return self.caption if isinstance(self.caption, str) else self.caption(subject)


FIGURES: Registry[FigureKind] = Registry("figure", "capsnet.figures")


def slug(name: str) -> str:
    """A class name, made safe for a file name."""
    return re.sub(r"[^\w.+]+", "-", name).strip("-.")[:60]


def add_figure(
    name: str,
    draw: Callable[[Subject], Figure],
    *,
    caption: str | Callable[[Subject], str],
    place: int,
    charts: bool = False,
) -> None:
    """Register a figure that is a single file."""
    FIGURES.add(name, FigureKind(lambda subject: {name: lambda: draw(subject)}, caption, place, charts))
