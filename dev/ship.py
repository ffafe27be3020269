"""Make the weights of a run those that come with the package: `python dev/ship.py RUN NAME`.

Parameters are rounded to bfloat16, and the rounded network is tested; running statistics keep float32. The model card
is written from the run's own files; `dev/doubt.py NAME` then measures when its answers are unsure.
"""

import sys
from pathlib import Path

import torch

from capsnet.inference import evaluate
from capsnet.recipes import RECIPES
from capsnet.runs import Run
from capsnet.runs.files import write_bytes, write_text
from capsnet.runs.pretrained import FOLDER
from capsnet.runs.weights import count_decoder, count_parameters, load_weights, read_tensors, to_bytes

CARD = """# {name}

{summary}; {error:.2f} % test error

```python
model = capsnet.load("{name}")
```

| | |
|---|---|
| model | `{model}`, {parameters:,} parameters ({encoder:,} and a decoder of {decoder:,}), stored in bfloat16 |
| data | {data}: {trained:,} training images, {held_out:,} held out for validation |
| recipe | `capsnet train {recipe} --seed {seed}` |
| weights | the best of the run on validation, at step {best_step:,} of {steps:,} |
| validation error | {validation:.2f} % of {validation_n:,} |
| test error as trained | {trained_error:.2f} % of {n:,} |
| test error of this file | {error:.2f} % of {n:,} (95 % interval {low:.2f} to {high:.2f} %), one seed |
| training | {minutes:.0f} min on {machine}, {threads} thread(s), {precision}, {date} |
| made by | capsnet {version}, commit {commit}, torch {torch} |

## Limits

It knows the ten digits as MNIST has them: written by hand in the United States around 1990, one in an image, upright.
`capsnet predict` finds, crops and centres a digit in a photo or drawing before the network sees it; two digits in an
image, printed ones, and digits turned by more than some 20 degrees are not what it was trained on.
"""


def main(source: Path, name: str) -> None:
    """Write `NAME.safetensors` and `NAME.md`."""
    run = Run.open(source)
    tensors, metadata = read_tensors(run.folder / "weights.safetensors")
    parameters = dict(run.load_model().named_parameters())
    rounded = {key: value.to(torch.bfloat16) if key in parameters else value for key, value in tensors.items()}
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.safetensors"
    write_bytes(path, to_bytes(rounded, metadata))
    model = load_weights(path)
    found = evaluate(model, run.config.data.name)
    low, high = found.error_interval
    evaluation, environment = run.evaluation(), run.environment()
    card = CARD.format(
        name=name,
        summary=RECIPES.get(run.config.run.recipe).summary.split(": ", 1)[-1].capitalize(),
        error=found.error_percent,
        model=run.config.model.name,
        parameters=count_parameters(model),
        encoder=count_parameters(model) - count_decoder(model),
        decoder=count_decoder(model),
        data=run.config.data.name,
        trained=60_000 - evaluation["validation"]["n"],
        held_out=evaluation["validation"]["n"],
        recipe=run.config.run.recipe,
        seed=run.config.run.seed,
        best_step=evaluation["best_step"],
        steps=evaluation["step"],
        validation=100 * (1 - evaluation["validation"]["accuracy"]),
        validation_n=evaluation["validation"]["n"],
        trained_error=evaluation["test"]["error_percent"],
        n=found.n,
        low=low,
        high=high,
        minutes=evaluation["seconds"] / 60,
        machine=environment["processor"],
        threads=environment["threads"],
        precision=environment["precision"],
        date=environment["date"][:10],
        version=environment["capsnet"],
        commit=environment["commit"],
        torch=environment["torch"],
    )
    write_text(FOLDER / f"{name}.md", card)
    print(card)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
