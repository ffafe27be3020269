"""`from capsnet.sklearn import CapsNetClassifier`; the code is in `interop/sklearn.py`."""

from capsnet.interop.sklearn import CapsNetClassifier as CapsNetClassifier

__all__ = ["CapsNetClassifier"]
