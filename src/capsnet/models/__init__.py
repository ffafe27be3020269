"""Models, one file per paper."""

from capsnet.models.attention_capsnet import AttentionCapsNet as AttentionCapsNet
from capsnet.models.backbone_capsnet import BackboneCapsNet as BackboneCapsNet
from capsnet.models.baseline_cnn import BaselineCNN as BaselineCNN
from capsnet.models.capsnet import CapsNet as CapsNet
from capsnet.models.deepcaps import DeepCaps as DeepCaps
from capsnet.models.efficient_capsnet import EfficientCapsNet as EfficientCapsNet
from capsnet.models.factory import MODELS as MODELS
from capsnet.models.factory import create_model as create_model
from capsnet.models.factory import list_models as list_models
from capsnet.models.matrix_capsnet import MatrixCapsNet as MatrixCapsNet
from capsnet.models.model import CapsuleModel as CapsuleModel
from capsnet.models.resnet import ResNet as ResNet
from capsnet.models.segcaps import SegCaps as SegCaps
from capsnet.models.segmentation import SEGMENTERS as SEGMENTERS
from capsnet.models.segmentation import SegmentationModel as SegmentationModel
from capsnet.models.segmentation import SegmentationOutput as SegmentationOutput
from capsnet.models.segmentation import create_segmenter as create_segmenter
from capsnet.models.segmentation import load_segmenter as load_segmenter
from capsnet.models.self_routing_capsnet import SelfRoutingCapsNet as SelfRoutingCapsNet
from capsnet.models.sequence import SEQUENCE_MODELS as SEQUENCE_MODELS
from capsnet.models.sequence import SequenceModel as SequenceModel
from capsnet.models.sequence import create_sequence_model as create_sequence_model
from capsnet.models.sequence import load_sequence_model as load_sequence_model
from capsnet.models.sequence_capsnet import SequenceCapsNet as SequenceCapsNet
from capsnet.models.sequence_cnn import SequenceCNN as SequenceCNN
from capsnet.models.unet import UNet as UNet
from capsnet.registry import import_modules

import_modules(__name__, leave=("ensemble",))


__all__ = [
    "AttentionCapsNet",
    "BackboneCapsNet",
    "BaselineCNN",
    "CapsNet",
    "CapsuleModel",
    "DeepCaps",
    "EfficientCapsNet",
    "MODELS",
    "MatrixCapsNet",
    "ResNet",
    "SEGMENTERS",
    "SEQUENCE_MODELS",
    "SegCaps",
    "SegmentationModel",
    "SegmentationOutput",
    "SelfRoutingCapsNet",
    "SequenceCNN",
    "SequenceCapsNet",
    "SequenceModel",
    "UNet",
    "create_model",
    "create_segmenter",
    "create_sequence_model",
    "list_models",
    "load_segmenter",
    "load_sequence_model",
]
