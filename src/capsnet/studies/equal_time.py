"""Capsule networks beside a plain residual network, planned for the same training time, on clothes and photographs.

How the schedules were chosen: images per second of one core (AMD EPYC, AVX-512) in steps of the row's batch, times the
budget, in whole epochs of the training images.
"""

from capsnet.studies.study import STUDIES, Budget, Changes, Comparison, Row, Study

_ALL = {"validation": 0, "flip": True, "schedule": "one-cycle", "precision": "fp32"}
_RESNET = {"lr_milestones": ()}
_FULL = (
    "the same augmentation, optimisers and learning rates over twelve times the epochs, planned as three hours of one "
    "core each"
)


def _add(data: str, images: int, title: str, shift: int, rows: tuple[Row, ...], epochs: dict[str, int]) -> None:
    control = rows[-1].name

    def budget(words: str, times: int) -> Budget:
        changes: dict[str, Changes] = {name: {"epochs": times * count} for name, count in epochs.items()}
        return Budget(words, 1, {"data": data, "shift": shift, **_ALL}, changes)

    counts = ", ".join(f"{epochs[row.name]} epochs of {row.label}" for row in rows)
    STUDIES.add(
        f"{data}-equal-time",
        Study(
            summary=f"{title}: capsule networks and a ResNet-20, planned for equal training time",
            source="no paper: a control of equal planned training time",
            rows=rows,
            comparisons=tuple(Comparison(row.name, control) for row in rows[:-1]),
            budgets={
                "quick": budget(
                    f"{images:,} training images, planned as a quarter of an hour of one core each: {counts}; "
                    f"one-cycle learning rate; shifts of {shift} pixels, mirrored at random; the last step is tested",
                    1,
                ),
                "full": budget(f"{images:,} training images; {_FULL}; the last step is tested", 12),
            },
            figure="curves",
        ),
    )


_add(
    "fashion-mnist",
    60_000,
    "Fashion-MNIST",
    2,
    (
        Row("capsnet", "CapsNet", "speedrun-mnist"),
        Row("efficient-capsnet", "Efficient-CapsNet", "mazzia2021-mnist-quick", {"rotation": 0.0}),
        Row("resnet-20", "ResNet-20", "he2016-cifar10", _RESNET),
    ),
    {"capsnet": 2, "efficient-capsnet": 5, "resnet-20": 6},
)
_add(
    "cifar10",
    50_000,
    "CIFAR-10",
    4,
    (
        Row("self-routing", "self-routing CapsNet", "hahn2019-mnist-quick"),
        Row("attention", "attention CapsNet (small)", "tsai2020-mnist-quick"),
        Row("resnet-20", "ResNet-20", "he2016-cifar10", _RESNET),
    ),
    {"self-routing": 4, "attention": 8, "resnet-20": 5},
)
