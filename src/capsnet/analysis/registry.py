"""What an analysis is: a pure function from a model and images to numbers, with the words to read them by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from capsnet.registry import Registry


@dataclass(frozen=True)
class Analysis:
    """One analysis.

    Args:
        title: what it asks, as a heading.
        measure: `measure(model, data, **settings)`, and `seed=` where `draws`; gives a dictionary that is JSON.
        say: the numbers of such a dictionary in a sentence or two.
        caution: what one may and may not conclude.
        images: how many images it looks at.
        quick_images: how many for a report, which must not take long.
        settings: arguments of `measure`.
        quick_settings: what differs from them for a report.
        split: whose images.
        draws: it draws random numbers.
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
