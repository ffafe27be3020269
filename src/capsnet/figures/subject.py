"""What a run's figures are made from, and the registry of figures."""

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

LOOK_AT, _BATCH = 1000, 256

Drawing = Callable[[], Figure]


@dataclass(frozen=True)
class Seen:
    """Test images with what the network says of them.

    Args:
        data: the part of the images that the network sees.
        capsules: their class capsules.
        predicted: the longest capsule of each.

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

    def pick(self, indices: Int[Tensor, " _"]) -> "Seen":
        """The images at `indices`."""
        poses, lengths, _ = self.capsules
        return Seen(self.data.select(indices), Capsules(poses[indices], lengths[indices]), self.predicted[indices])


@torch.no_grad()
def look_at(model: CapsuleModel, data: ImageData, count: int = LOOK_AT) -> Seen:
    """Run a model over the first images of each class, `count` in all or a few more."""
    part = data.select(first_of_each_class(data.labels, len(data.class_names), count))
    batches = [(seen, output) for seen, _, output in predict_batches(model, part, batch_size=64)]
    outputs = [output for _, output in batches]
    images = torch.cat([(255 * seen).round().to(torch.uint8).cpu() for seen, _ in batches])
    poses = torch.cat([output.capsules.poses for output in outputs]).cpu()
    lengths = torch.cat([output.lengths for output in outputs]).cpu()
    return Seen(replace(part, images=images), Capsules(poses, lengths), lengths.argmax(dim=1))


@torch.no_grad()
def look_at_pairs(model: CapsuleModel, data: ImageData, pairing: Pairing, count: int = LOOK_AT) -> Seen:
    """Run a model over pairs whose base digits are the first images of each class.

    The class of a pair is that of its base digit; what was predicted is that digit where it is one of the two found.
    """
    chosen = first_of_each_class(data.labels, len(data.class_names), count)
    pairs = draw_pairs(data.images, data.labels, chosen, pairing, torch.Generator().manual_seed(pairing.seed))
    seen = look_at(model, ImageData(pairs.images, pairs.labels[:, 0], data.class_names), count)
    found = match_found(find_pairs(seen.capsules.activations), pairs.labels)
    return replace(seen, predicted=found[:, 0])


def first_of_each_class(labels: Int[Tensor, " m"], classes: int, count: int) -> Int[Tensor, " _"]:
    """Indices of about `count` images, as many of each class (at least one), in the order of the classes."""
    each = max(1, -(-count // classes))
    return torch.cat([(labels == label).nonzero()[:each, 0] for label in range(classes)])


def reconstruct(
    model: CapsuleModel, capsules: Capsules, labels: Int[Tensor, " b"] | None = None
) -> Float[Tensor, "b c h w"]:
    """Draw what class capsules describe.

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


def measure_fidelity(model: CapsuleModel, seen: Seen) -> Fidelity:
    """Compare the reconstructions of images from their longest capsules with the mean image.

    Raises:
        UserError: the model has no decoder.
    """
    drawn = [reconstruct(model, seen.pick(part).capsules) for part in torch.arange(len(seen.data)).split(_BATCH)]
    return compare_with_mean(seen.data.images.float() / 255, torch.cat(drawn))


class Subject:
    """A run, with its model and test images loaded when a figure first asks for them.

    Args:
        run: the run.
        dataset: its data set, where it is at hand; otherwise it is loaded with the run's settings.
    """

    def __init__(self, run: Run, dataset: Dataset | None = None) -> None:
        self.run, self._dataset = run, dataset
        self._records: dict[str, Record | UserError] = {}

    @cached_property
    def model(self) -> CapsuleModel:
        """The run's best weights.

        Raises:
            UserError: it has none yet.
        """
        return self.run.load_model()

    @property
    def dataset(self) -> Dataset:
        """The run's data set."""
        return self.find_dataset()

    def find_dataset(self) -> Dataset:
        """Load the run's data set, once.

        Raises:
            UserError: it can no longer be found.
        """
        found = self._found
        if isinstance(found, UserError):
            raise found
        return found

    @cached_property
    def _found(self) -> Dataset | UserError:
        # a failure is kept too: looking again may mean trying to download again
        if self._dataset is not None:
            return self._dataset
        try:
            return load_dataset(self.run.config)
        except UserError as fault:
            return fault

    @cached_property
    def seen(self) -> Seen:
        """Test images, some of each class, with what the model says of them."""
        dataset = self.dataset
        part = match_classes(dataset.test, self.model, dataset.name, dataset.pairing)
        if dataset.pairing is not None:
            return look_at_pairs(self.model, part, dataset.pairing)
        return look_at(self.model, part)

    @cached_property
    def fidelity(self) -> Fidelity | None:
        """How well the decoder draws the test images; None without a decoder."""
        return measure_fidelity(self.model, self.seen) if self.model.has_decoder else None

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
        """An analysis of the run: the one kept in its folder, or one done now with few images, which is kept then.

        Raises:
            UserError: this run does not allow it.
        """
        if name not in self._records:
            try:
                self._records[name] = self._find_record(name)
            except UserError as fault:
                self._records[name] = fault
        found = self._records[name]
        if isinstance(found, UserError):
            raise found
        return found

    def _find_record(self, name: str) -> Record:
        kept, weights = read_record(self.run, name), fingerprint(self.run)
        if kept is not None:
            if kept["weights"] == weights:
                return kept
            if not kept["quick"]:
                path = analysis_path(self.run, name)
                print(f"capsnet: {path} is of other weights; capsnet analyse --overwrite renews it", file=sys.stderr)
        record = analyse(self.model, self.dataset, name, quick=True, weights=weights)
        if kept is None or kept["quick"]:
            write_record(self.run, record)
        return record

    def images_of(self, record: Record) -> ImageData:
        """The images that an analysis looked at, in its order."""
        part = self.dataset.test if record["split"] == "test" else self.dataset.train
        return choose(match_classes(part, self.model, self.dataset.name), record["n"], seed=record["seed"])

    @property
    def class_names(self) -> tuple[str, ...]:
        """The model's class names."""
        return self.model.class_names


@dataclass(frozen=True)
class FigureKind:
    """One figure, or one for each class.

    Args:
        drawings: names of files (without .png) and how to draw each; raises UserError where it cannot be drawn.
        caption: what it teaches, in a sentence or two; a function where that depends on the run.
        place: its place in a report.
        charts: lines and bars only: a report inverts their lightness on a dark page, where it only dims pictures.
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
    """The name of a class as a part of a file's name."""
    return re.sub(r"[^\w.+]+", "-", name).strip("-.")[:60]


def add_figure(
    name: str,
    draw: Callable[[Subject], Figure],
    *,
    caption: str | Callable[[Subject], str],
    place: int,
    charts: bool = False,
) -> None:
    """Register a figure that is one file."""
    FIGURES.add(name, FigureKind(lambda subject: {name: lambda: draw(subject)}, caption, place, charts))
