"""The text of a model card: how to use the model, and the results of its run."""

from pathlib import Path

from capsnet._version import __version__
from capsnet.inference.evaluation import Evaluation
from capsnet.interop.public_name import public_name
from capsnet.models import CapsuleModel
from capsnet.runs import Run
from capsnet.runs.config import is_object
from capsnet.runs.folder import RunResult
from capsnet.runs.weights import ModelSpec, count_decoder, count_parameters

_MOST_CLASSES = 20


def write_card(model: CapsuleModel, spec: ModelSpec, run: Run | None, repo_id: str | None) -> str:
    """Write the card in Markdown; every number comes from the model or its run.

    Args:
        model: the model with its weights.
        spec: its description in the weights file.
        run: the run that trained it; None: the card states no error.
        repo_id: name of the model on the Hub; None: the placeholder `OWNER/NAME`.
    """
    result = None if run is None else run.evaluation()
    rows = {**_describe_model(model, spec), **({} if run is None else _describe_run(run, result))}
    table = "\n".join(f"| {name} | {value.replace('|', '/')} |" for name, value in rows.items())
    title = (repo_id or spec.model).split("/")[-1]
    return f"""# {title}

{_summarize(spec, run, result)}

```bash
pip install 'capsnet[hub]'
```

```python
import capsnet

model = capsnet.load({_source(repo_id)}{", model=YourClass()" if is_object(spec.model) else ""})
[answer] = capsnet.predict(model, "image.png")
print(answer.class_name, answer.length)
```
{_explain_class(spec)}
| | |
|---|---|
{table}
"""


def _source(repo_id: str | None) -> str:
    return f'"hf:{repo_id or "OWNER/NAME"}"'


def _explain_class(spec: ModelSpec) -> str:
    if not is_object(spec.model):
        return ""
    name = spec.model.partition(": ")[2]
    return f"\nThe network's class is its author's, `{name}`: pass an object of this class to load the weights.\n"


def _summarize(spec: ModelSpec, run: Run | None, result: RunResult | None) -> str:
    what = f"Capsule network `{spec.model}`"
    if spec.data:
        what += f", trained on {spec.data}"
    if result is not None:
        return f"{what}: {result['test']['error_percent']:.2f} % test error."
    why = "no run folder was given"
    if run is not None:
        why = "its run is not finished" if run.imported() is None else "its imported weights were not tested"
    return f"{what}. This card states no test error: {why}."


def _describe_model(model: CapsuleModel, spec: ModelSpec) -> dict[str, str]:
    total, decoder = count_parameters(model), count_decoder(model)
    parts = f" ({total - decoder:,} and a decoder of {decoder:,})" if decoder else ""
    names = spec.class_names
    listed = ", ".join(names[:_MOST_CLASSES]) + (", ..." if len(names) > _MOST_CLASSES else "")
    rows = {
        "model": f"`{spec.model}`, {total:,} parameters{parts}",
        "images": f"{' x '.join(map(str, model.inputs.image_shape))} (channels, height, width)",
        "classes": f"{len(names)}: {listed}",
    }
    if spec.options:
        rows["options"] = ", ".join(f"`{name}={value!r}`" for name, value in spec.options.items())
    if spec.doubt is not None:
        rows["unsure answers"] = f"marked; limits chosen on {spec.doubt.images:,} validation images"
    return {**rows, "saved by": f"capsnet {__version__}"}


def _describe_run(run: Run, result: RunResult | None) -> dict[str, str]:
    config, environment, imported = run.config, run.environment() or {}, run.imported()
    origin = {"recipe": f"`{config.run.recipe}`, seed {config.run.seed}"}
    if imported is not None:
        origin = {
            "weights": f"imported from {imported.source}: `{Path(imported.file).name}`, SHA-256 {imported.sha256}"
        }
    rows = {**origin, "data": public_name(config.data.name)}
    if result is not None:
        test = result["test"]
        low, high = Evaluation.from_dict(test).error_interval
        noun = "pairs" if "digit_error_percent" in test else "images"
        interval = f"(95 % interval {low:.2f} to {high:.2f} %)"
        rows["test error"] = f"{test['error_percent']:.2f} % of {test['n']:,} {noun} {interval}, one seed"
        if "validation" in result:
            validation = result["validation"]
            rows["validation error"] = f"{100 * (1 - validation['accuracy']):.2f} % of {validation['n']:,}"
        if imported is None:
            chosen = "the best on validation" if "validation" in result else "the last"
            rows["weights"] = f"{chosen}, at step {result['best_step']:,} of {result['step']:,}"
            rows["training time"] = f"{result['seconds']:,.0f} s"
    known = {name: environment[name] for name in ("processor", "device", "precision", "torch") if name in environment}
    if known and imported is None:
        rows["trained with"] = ", ".join(f"{name} {value}" for name, value in known.items())
    return rows
