"""Evaluation of a trained model on a split, and prediction of images."""

from capsnet.inference.evaluate import Evaluation as Evaluation
from capsnet.inference.evaluate import evaluate as evaluate

__all__ = ["Evaluation", "evaluate"]
