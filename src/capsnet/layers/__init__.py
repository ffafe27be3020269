"""Layers of capsules, and the decoders."""

from capsnet.layers.conv import ConvCapsules as ConvCapsules
from capsnet.layers.conv2d import Conv2d as Conv2d
from capsnet.layers.conv_relu import ConvReLU as ConvReLU
from capsnet.layers.decoder import Decoder as Decoder
from capsnet.layers.decoder import SharedDecoder as SharedDecoder
from capsnet.layers.decoder import UpsamplingDecoder as UpsamplingDecoder
from capsnet.layers.dense import DenseCapsules as DenseCapsules
from capsnet.layers.local_conv import CapsuleMaps as CapsuleMaps
from capsnet.layers.local_conv import LocalConvCapsules as LocalConvCapsules
from capsnet.layers.local_conv import LocalTransposedConvCapsules as LocalTransposedConvCapsules
from capsnet.layers.multi_interest import MultiInterest as MultiInterest
from capsnet.layers.pose_primary import PosePrimaryCapsules as PosePrimaryCapsules
from capsnet.layers.primary import PrimaryCapsules as PrimaryCapsules
from capsnet.layers.sequence_decoder import SequenceDecoder as SequenceDecoder
from capsnet.layers.sequence_primary import SequencePrimaryCapsules as SequencePrimaryCapsules
from capsnet.layers.sequence_stem import SequenceStem as SequenceStem
from capsnet.layers.squashed_conv import SquashedConv as SquashedConv
from capsnet.layers.vector_routing import VectorRouting as VectorRouting
from capsnet.layers.volume_routing import VolumeCapsules as VolumeCapsules

__all__ = [
    "CapsuleMaps",
    "Conv2d",
    "ConvCapsules",
    "ConvReLU",
    "Decoder",
    "DenseCapsules",
    "LocalConvCapsules",
    "LocalTransposedConvCapsules",
    "MultiInterest",
    "PosePrimaryCapsules",
    "PrimaryCapsules",
    "SequenceDecoder",
    "SequencePrimaryCapsules",
    "SequenceStem",
    "SharedDecoder",
    "SquashedConv",
    "UpsamplingDecoder",
    "VectorRouting",
    "VolumeCapsules",
]
