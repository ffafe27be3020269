"""`from capsnet.lightning import CapsuleModule`; the code is in `interop/lightning.py`, and needs an extra."""

from importlib.util import find_spec

from capsnet.errors import UserError

if find_spec("lightning") is None:
    raise UserError("capsnet.lightning needs an extra: pip install 'capsnet[lightning]'")

from capsnet.interop.lightning import CapsuleModule as CapsuleModule

__all__ = ["CapsuleModule"]
