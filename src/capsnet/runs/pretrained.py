"""Bundled pretrained weights: a bf16 safetensors file and a model card each."""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "pretrained"


def list_pretrained() -> list[str]:
    """Names of the bundled weights."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def pretrained_path(name: str) -> Path | None:
    """The weights file of a name; None for unknown names."""
    return FOLDER / f"{name}.safetensors" if name in list_pretrained() else None


def model_card(name: str) -> str:
    """The model card of a name in `list_pretrained()`, in Markdown."""
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")
