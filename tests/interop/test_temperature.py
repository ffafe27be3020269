"""Temperature scaling finds the temperature that made the labels."""

import numpy as np
import pytest

from capsnet.interop.temperature import find_probabilities, fit_temperature


def test_probabilities_are_powers_of_e_of_lengths_over_the_temperature():
    lengths = np.array([[0.0, 0.5 * np.log(2), 0.5 * np.log(5)]], np.float32)
    assert find_probabilities(lengths, 0.5) == pytest.approx(np.array([[1, 2, 5]]) / 8)
    assert find_probabilities(lengths, 0.25) == pytest.approx(np.array([[1, 4, 25]]) / 30)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_temperature_of_drawn_labels_is_found(temperature):
    random = np.random.default_rng(0)
    lengths = random.random((4000, 3)).astype(np.float32)
    powers = np.exp(lengths.astype(float) / temperature)
    chances = powers / powers.sum(axis=1, keepdims=True)
    labels = np.array([random.choice(3, p=row) for row in chances])
    assert fit_temperature(lengths, labels) == pytest.approx(temperature, rel=0.1)
