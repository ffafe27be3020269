"""Training and evaluation, and the folder they leave."""

from capsnet.training.callback import Callback as Callback
from capsnet.training.callback import CallbackError as CallbackError
from capsnet.training.config import RunConfig as RunConfig
from capsnet.training.evaluation import Evaluation as Evaluation
from capsnet.training.evaluation import evaluate as evaluate
from capsnet.training.loop import Diverged as Diverged
from capsnet.training.loop import train as train
from capsnet.training.run import Run as Run
from capsnet.training.run import load as load
from capsnet.training.tensorboard import TensorBoard as TensorBoard

__all__ = [
    "Callback",
    "CallbackError",
    "Diverged",
    "Evaluation",
    "Run",
    "RunConfig",
    "TensorBoard",
    "evaluate",
    "load",
    "train",
]
