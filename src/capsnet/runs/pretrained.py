"""Weights that come with the package: a bf16 safetensors file each, and its model card beside it."""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "pretrained"


def list_pretrained() -> list[str]:
    """Names of the weights that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def pretrained_path(name: str) -> Path | None:
    """The weights file of a name, or None where no weights have it."""
    return FOLDER / f"{name}.safetensors" if name in list_pretrained() else None


def model_card(name: str) -> str:
    """The model card of a name in `list_pretrained()`, in Markdown."""
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")
