"""Training: the loop, its step, and callbacks."""

from capsnet.training.callback import Callback as Callback
from capsnet.training.callback import CallbackError as CallbackError
from capsnet.training.finite import Diverged as Diverged
from capsnet.training.run import train as train
from capsnet.training.tensorboard import TensorBoard as TensorBoard

__all__ = ["Callback", "CallbackError", "Diverged", "TensorBoard", "train"]
