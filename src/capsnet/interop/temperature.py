"""Probabilities from capsule lengths, by one temperature.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
"""

from math import exp, log

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

_LOWEST, _HIGHEST = 0.01, 10.0


def find_probabilities(lengths: Float[np.ndarray, "m n"], temperature: float) -> Float[np.ndarray, "m n"]:
    """The softmax of lengths over a temperature, in double precision.

    Shapes:
        both `m n`; rows of the result sum to 1.
    """
    probabilities: Float[np.ndarray, "m n"] = softmax(lengths.astype(np.float64) / temperature, axis=1)
    return probabilities


def fit_temperature(lengths: Float[np.ndarray, "m n"], labels: Int[np.ndarray, " m"]) -> float:
    """The temperature, from 0.01 to 10, with the lowest mean negative log-likelihood.

    Args:
        lengths: lengths of class capsules for images that the network was not trained on.
        labels: their classes.

    Shapes:
        lengths `m n`, labels `m`.
    """

    def mean_loss(log_temperature: float) -> float:
        chances = log_softmax(lengths.astype(np.float64) / exp(log_temperature), axis=1)
        return float(-chances[np.arange(len(labels)), labels].mean())

    return exp(float(minimize_scalar(mean_loss, bounds=(log(_LOWEST), log(_HIGHEST)), method="bounded").x))
