"""Compare two trained models on the same test images by McNemar's test."""

from dataclasses import dataclass

from capsnet.errors import UserError
from capsnet.inference import Evaluation
from capsnet.inference.evaluate import evaluate_images
from capsnet.inference.images import find_images
from capsnet.inference.predictions import Predictions, read_predictions
from capsnet.runs.folder import Run
from capsnet.studies.statistics import SIGNIFICANT, mcnemar


@dataclass(frozen=True)
class PairedTest:
    """Classification results of two models on the same images, with McNemar's test.

    Args:
        n: number of images.
        both: images that both classified correctly.
        only_first: images that only the first classified correctly.
        only_second: images that only the second classified correctly.
    """

    n: int
    both: int
    only_first: int
    only_second: int

    @property
    def neither(self) -> int:
        """Images that both misclassified."""
        return self.n - self.both - self.only_first - self.only_second

    @property
    def difference(self) -> float:
        """Test error of the first model minus that of the second, in percentage points."""
        return 100 * (self.only_second - self.only_first) / self.n

    @property
    def p_value(self) -> float:
        """The two-sided p value of McNemar's exact test."""
        return mcnemar(self.only_first, self.only_second)

    def describe(self, first: str, second: str) -> list[str]:
        """The result in lines of text, with a name for each model."""
        verdict = "no significant difference"
        if self.p_value < SIGNIFICANT:
            verdict = f"{first if self.difference < 0 else second} has the lower error"
        return [
            f"same {self.n:,} test images: {self.both:,} correct by both, {self.neither:,} by neither",
            f"correct only by {first}: {self.only_first:,}; only by {second}: {self.only_second:,}",
            f"difference of test errors {self.difference:+z.2f} points, McNemar's exact test p = {self.p_value:.2g}: "
            f"{verdict} (p < {SIGNIFICANT} counts)",
            "the test compares these two sets of weights; it does not include variation between seeds",
        ]


def compare_predictions(first: Predictions, second: Predictions) -> PairedTest:
    """Compare two models that were tested on the same images.

    Raises:
        UserError: different images, or the same images in another order.
    """
    if first.files != second.files or not first.labels.equal(second.labels):
        raise UserError(
            f"the models were tested on different images ({len(first.labels):,} and {len(second.labels):,}, with other "
            "classes or files); test both on the same data with the same test_limit"
        )
    right, other = first.correct, second.correct
    return PairedTest(
        n=len(right),
        both=int((right & other).sum()),
        only_first=int((right & ~other).sum()),
        only_second=int((~right & other).sum()),
    )


def compare_runs(first: Run, second: Run) -> PairedTest:
    """Compare the best weights of two finished runs on their test images.

    Runs of older versions, which stored no predictions, are tested again with their weights.

    Raises:
        UserError: runs on different data, on pairs or on several variants of each image, unfinished runs, or runs
            without predictions and weights.
    """
    results = [_test_result(run) for run in (first, second)]
    names = [result.data for result in results]
    if names[0] != names[1]:
        raise UserError(f"the runs were tested on {names[0]} and {names[1]}; compare runs of the same data")
    return compare_predictions(_predictions(first), _predictions(second))


def _test_result(run: Run) -> Evaluation:
    result = run.evaluation()
    if result is None:
        raise UserError(f"{run.folder} is not finished; go on with capsnet train --resume {run.folder}")
    evaluation = Evaluation.from_dict(result["test"])
    if evaluation.noun == "pairs":
        raise UserError(f"{run.folder} was tested on pairs of images; only runs of single images can be compared")
    if evaluation.originals is not None and evaluation.originals < evaluation.n:
        raise UserError(
            f"{run.folder} was tested on {evaluation.n:,} variants of {evaluation.originals:,} images; McNemar's test "
            "is for independent images, so there is no test for these"
        )
    return evaluation


def _predictions(run: Run) -> Predictions:
    predictions = read_predictions(run)
    if predictions is None and run.weights_path.is_file():
        model = run.load_model()
        predictions = evaluate_images(model, find_images(model, run=run)).predictions
    if predictions is None:
        raise UserError(f"{run.folder} has neither predictions.safetensors nor weights; train it again")
    return predictions
