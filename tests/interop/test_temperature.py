"""Temperature scaling finds the temperature that made the labels."""

import numpy as np
import pytest

from capsnet.interop.temperature import find_probabilities, fit_temperature


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_temperature_of_drawn_labels_is_found(temperature):
    random = np.random.default_rng(0)
    lengths = random.random((4000, 3)).astype(np.float32)
    chances = find_probabilities(lengths, temperature)
    labels = np.array([random.choice(3, p=row) for row in chances])
    assert fit_temperature(lengths, labels) == pytest.approx(temperature, rel=0.1)
