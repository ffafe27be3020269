"""Pure tensor mathematics."""

from capsnet.functional.convolution import conv2d as conv2d
from capsnet.functional.label_aware_attention import label_aware_attention as label_aware_attention
from capsnet.functional.labels import check_labels as check_labels
from capsnet.functional.labels import check_marks as check_marks
from capsnet.functional.maps import to_capsules as to_capsules
from capsnet.functional.maps import to_maps as to_maps
from capsnet.functional.overlap import dice_score as dice_score
from capsnet.functional.overlap import iou_score as iou_score
from capsnet.functional.precision import widen as widen
from capsnet.functional.sequences import check_sequences as check_sequences
from capsnet.functional.sequences import mask_steps as mask_steps
from capsnet.functional.squash import exponential_squash as exponential_squash
from capsnet.functional.squash import squash as squash
from capsnet.functional.votes import dense_votes as dense_votes
from capsnet.functional.windows import Windows as Windows
from capsnet.functional.windows import gather_windows as gather_windows
from capsnet.functional.windows import parent_softmax as parent_softmax
from capsnet.functional.windows import window_children as window_children

__all__ = [
    "check_labels",
    "check_marks",
    "check_sequences",
    "Windows",
    "conv2d",
    "dense_votes",
    "dice_score",
    "exponential_squash",
    "gather_windows",
    "iou_score",
    "label_aware_attention",
    "mask_steps",
    "parent_softmax",
    "squash",
    "to_capsules",
    "to_maps",
    "widen",
    "window_children",
]
