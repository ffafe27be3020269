"""Evaluation of a trained model on a split, and prediction of images."""

from capsnet.inference.evaluate import Evaluation as Evaluation
from capsnet.inference.evaluate import evaluate as evaluate
from capsnet.inference.segment import segment as segment

__all__ = ["Evaluation", "evaluate", "segment"]
