"""Saving and uploading a model by huggingface_hub's mixin; imported only where that package is needed."""

from dataclasses import asdict
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData, ModelHubMixin

from capsnet._version import __version__
from capsnet.interop.hub_card import write_card
from capsnet.interop.public_name import public_name
from capsnet.models import CapsuleModel
from capsnet.runs import Run
from capsnet.runs.folder import RunResult
from capsnet.runs.hub import MODEL_FILE
from capsnet.runs.weights import ModelSpec, save_weights


class HubModel(ModelHubMixin, library_name="capsnet", pipeline_tag="image-classification", tags=["capsule-network"]):
    """A model in the form of the Hub's mixin.

    Args:
        model: the model with its weights.
        spec: its description in the weights file.
        run: the run that trained it, for the card; None: unknown.
    """

    def __init__(self, model: CapsuleModel, spec: ModelSpec, run: Run | None) -> None:
        self._model, self._spec, self._run = model, spec, run
        # config.json serves readers and the Hub's download count; loading reads the weights file only
        self._hub_mixin_config = {"library_name": "capsnet", "capsnet_version": __version__, **asdict(spec)}

    def _save_pretrained(self, save_directory: Path) -> None:
        save_weights(save_directory / MODEL_FILE, self._model, self._spec)

    def generate_model_card(self, *, repo_id: str | None = None) -> ModelCard:
        """The card of the model.

        Args:
            repo_id: name of the model on the Hub; None: not known yet.
        """
        result = None if self._run is None else self._run.evaluation()
        data = ModelCardData(
            **self._hub_mixin_info.model_card_data.to_dict(),
            model_name=(repo_id or self._spec.model).split("/")[-1],
            eval_results=_list_results(result),
        )
        return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{write_card(self._model, self._spec, self._run, repo_id)}")


def _list_results(result: RunResult | None) -> list[EvalResult] | None:
    """The test accuracy for the Hub's tables; for pairs, that of exact pairs."""
    if result is None:
        return None
    test = result["test"]
    name = public_name(test["data"])
    return [
        EvalResult(
            task_type="image-classification",
            dataset_type=name,
            dataset_name=name,
            dataset_split=test["split"],
            metric_type="accuracy",
            metric_value=round(test["accuracy"], 6),
        )
    ]
