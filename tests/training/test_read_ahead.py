import numpy as np
import pytest
import torch

from capsnet.data.stored import StoredImages
from capsnet.runs import RunConfig
from capsnet.training import train
from capsnet.training.read_ahead import ReadAhead


def test_parts_come_in_order_and_other_indices_too():
    pixels = np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1)
    images = StoredImages([pixels], np.arange(20), np.arange(20))
    order = torch.randperm(20)
    ahead = ReadAhead(images, order, (slice(k, k + 3) for k in range(0, 20, 3)))
    for start in range(0, 20, 3):
        part = order[start : start + 3]
        assert ahead.take(part).flatten().tolist() == part.tolist()
        assert ahead.take(order[5:7].clone()).flatten().tolist() == order[5:7].tolist()
    ahead.close()


@pytest.mark.parametrize("accumulate", [1, 3])
def test_training_from_shards_gives_the_weights_of_memory_bit_for_bit(photos, tmp_path, accumulate):
    weights = []
    for shards in ("always", "never"):
        run = train(
            RunConfig.from_defaults(),
            data=str(photos),
            out=tmp_path / shards,
            model="capsnet-tiny",
            image_size=20,
            shards=shards,
            epochs=2,
            batch_size=8,
            accumulate=accumulate,
            limit=25,
        )
        weights.append(run.load_model().state_dict())
    assert all(one.equal(weights[1][name]) for name, one in weights[0].items())
