"""A run's numbers in Weights & Biases, in MLflow, or anywhere: a callback of ten lines.

Run it: pip install wandb mlflow; WANDB_MODE=offline python examples/log_elsewhere.py
"""

import sys

import capsnet


class WandbLogger(capsnet.Callback):
    """Weights & Biases."""

    def on_start(self, start):
        import wandb

        self.run = wandb.init(project="capsnet", name=start.folder.name, config=dict(start.config))

    def on_row(self, row):
        self.run.log(row, step=int(row["step"]))

    def on_end(self, result):
        if result is not None:
            self.run.summary["test_error_percent"] = result["test"]["error_percent"]
        self.run.finish(exit_code=0 if result is not None else 1)


class MlflowLogger(capsnet.Callback):
    """MLflow."""

    def on_start(self, start):
        import mlflow

        self.mlflow, self.run = mlflow, mlflow.start_run(run_name=start.folder.name)
        mlflow.log_params(dict(start.config))

    def on_row(self, row):
        self.mlflow.log_metrics(row, step=int(row["step"]))

    def on_end(self, result):
        if result is not None:
            self.mlflow.log_metric("test_error_percent", result["test"]["error_percent"])
        self.mlflow.end_run("FINISHED" if result is not None else "FAILED")


def main(epochs: int = 2, **options: object) -> capsnet.Run:
    """Train the small network on the embedded digits, and log to both."""
    callbacks = [WandbLogger(), MlflowLogger()]
    return capsnet.train(model="capsnet-tiny", data="digits", epochs=epochs, callbacks=callbacks, **options)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
