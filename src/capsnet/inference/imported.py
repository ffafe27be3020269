"""Store the test of an imported run in its folder, where training stores its own."""

from capsnet.inference.evaluate import Evaluation
from capsnet.inference.predictions import write_predictions
from capsnet.models import CapsuleModel
from capsnet.runs import Run
from capsnet.runs.files import write_json
from capsnet.runs.folder import RunResult
from capsnet.runs.lock import FolderLock
from capsnet.runs.weights import count_decoder, count_parameters


def store_evaluation(run: Run, model: CapsuleModel, evaluation: Evaluation) -> None:
    """Write `evaluation.json` and the predictions of an imported run; of its training nothing is known.

    Args:
        run: that was imported.
        model: its model.
        evaluation: on the test split of the run's data.

    Raises:
        UserError: the folder cannot be written to, or another process is at work on it.
    """
    record = evaluation.to_record()
    result: RunResult = {
        "test": record,
        "test_last": record,
        "best_step": 0,
        "step": 0,
        "parameters": count_parameters(model),
        "decoder_parameters": count_decoder(model),
        "seconds": 0.0,
        "images_per_second": 0.0,
    }
    with FolderLock(run.folder):
        if evaluation.predictions is not None:
            write_predictions(run.folder, evaluation.predictions, evaluation.predictions)
        write_json(run.folder / "evaluation.json", result)
