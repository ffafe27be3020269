"""Train one run of a study, or resume it."""

from pathlib import Path

from capsnet.runs import Run
from capsnet.runs.config import RunConfig
from capsnet.runs.options import keep_decided
from capsnet.studies.milestones import train_in_stages
from capsnet.training import train


def run_task(folder: Path, config: RunConfig, stages: tuple[int, ...] = ()) -> Run:
    """Train a new run, or resume one that was stopped.

    Args:
        folder: the run's folder.
        config: the run's configuration.
        stages: epochs after which the run is tested; see `train_in_stages`.
    """
    if stages:
        return train_in_stages(folder, config, stages)
    if not folder.exists():
        return train(config, out=folder)
    return train(keep_decided(Run.open(folder).config, config), resume=folder)
