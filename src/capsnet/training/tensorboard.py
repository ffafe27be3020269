"""TensorBoard events of a run: metrics, reconstructions and configuration."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from capsnet.errors import UserError
from capsnet.runs.folder import RunResult
from capsnet.training.callback import Callback, Start, Validation

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

# TensorBoard groups cards by prefix
_TAGS = {
    "loss": "training/loss",
    "margin_loss": "training/margin_loss",
    "reconstruction_loss": "training/reconstruction_loss",
    "accuracy": "training/accuracy",
    "learning_rate": "training/learning_rate",
    "images_per_second": "speed/images_per_second",
    "seconds": "speed/seconds",
    "validation_loss": "validation/loss",
    "validation_accuracy": "validation/accuracy",
}
_RESULTS = ("error_percent", "margin_loss", "reconstruction_mse", "digit_error_percent")


class TensorBoard(Callback):
    """Writes events for `tensorboard --logdir runs`; a resumed run continues its curves.

    Args:
        folder: for the events; None: `tensorboard/` in the run's folder.

    Raises:
        UserError: TensorBoard is not installed.

    Example:
        >>> capsnet.train(config, callbacks=[TensorBoard(Path("logs/first"))])
    """

    def __init__(self, folder: Path | None = None) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise UserError("TensorBoard events need an extra: pip install 'capsnet[tensorboard]'")
        self._folder = folder
        self._writer: SummaryWriter | None = None
        self._config: Mapping[str, object] = {}

    def on_start(self, start: Start) -> None:
        """Open the file; drop events of steps that the resumed run repeats."""
        from torch.utils.tensorboard import SummaryWriter

        folder = self._folder or start.folder / "tensorboard"
        self._writer = SummaryWriter(str(folder), purge_step=start.step + 1)
        self._config = start.config
        if start.step == 0:
            self._writer.add_text("configuration", _table(start.config), 0)

    def on_row(self, row: dict[str, float]) -> None:
        """Write the values of a row."""
        assert self._writer is not None
        for name in row.keys() & _TAGS:
            self._writer.add_scalar(_TAGS[name], row[name], int(row["step"]))

    def on_validation(self, validation: Validation) -> None:
        """Write images and their reconstructions."""
        assert self._writer is not None
        picture = validation.draw()
        if picture is not None:
            self._writer.add_image("reconstructions", picture, validation.step, dataformats="HWC")

    def on_end(self, result: RunResult | None) -> None:
        """Write the test results, also with the configuration for the hyperparameter page, and close."""
        if self._writer is None:
            return
        if result is not None:
            test = {f"test/{name}": value for name in _RESULTS if (value := result["test"].get(name)) is not None}
            for name, value in test.items():
                self._writer.add_scalar(name, value, result["step"])
            self._write_hyperparameters(test)
        self._writer.close()
        self._writer = None

    def _write_hyperparameters(self, metrics: Mapping[str, object]) -> None:
        from torch.utils.tensorboard.summary import hparams

        assert self._writer is not None
        values = {name: v if isinstance(v, bool | int | float) else str(v) for name, v in self._config.items()}
        # `SummaryWriter.add_hparams` would create a separate run
        writer = self._writer._get_file_writer()
        for summary in hparams(values, dict(metrics)):
            writer.add_summary(summary)


def _table(config: Mapping[str, object]) -> str:
    lines = [f"| {name} | {str(value).replace('|', ' ')} |" for name, value in config.items()]
    return "\n".join(["| | |", "|---|---|", *lines])
