"""What a trained model says: evaluation of a split, prediction of images."""

from capsnet.inference.evaluate import Evaluation as Evaluation
from capsnet.inference.evaluate import evaluate as evaluate

__all__ = ["Evaluation", "evaluate"]
