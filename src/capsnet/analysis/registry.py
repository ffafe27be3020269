"""An analysis: a pure function from a model and images to numbers, with a summary and a caution."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from capsnet.registry import Registry


@dataclass(frozen=True)
class Analysis:
    """One analysis.

    Args:
        title: heading.
        measure: `measure(model, data, **settings)`, and `seed=` if `draws`; returns a dictionary for JSON.
        say: summarises such a dictionary in a sentence or two.
        caution: limits of the conclusions.
        images: how many images it uses.
        quick_images: how many for a report.
        settings: arguments of `measure`.
        quick_settings: changes to `settings` for a report.
        split: the images' split.
        draws: whether it draws random numbers.
    """

    title: str
    measure: Callable[..., Mapping[str, object]]
    say: Callable[..., str]
    caution: str
    images: int
    quick_images: int
    settings: Mapping[str, object] = field(default_factory=dict)
    quick_settings: Mapping[str, object] = field(default_factory=dict)
    split: Literal["test", "train"] = "test"
    draws: bool = False


ANALYSES: Registry[Analysis] = Registry("analysis", "capsnet.analyses")
