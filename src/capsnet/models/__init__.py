"""Models, one file per paper."""

from capsnet.models.baseline_cnn import BaselineCNN as BaselineCNN
from capsnet.models.capsnet import CapsNet as CapsNet
from capsnet.models.factory import MODELS as MODELS
from capsnet.models.factory import create_model as create_model
from capsnet.models.factory import list_models as list_models

__all__ = ["MODELS", "BaselineCNN", "CapsNet", "create_model", "list_models"]
