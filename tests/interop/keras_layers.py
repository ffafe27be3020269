"""The Keras layers against numbers that PyTorch computed: run by test_keras.py, once with each backend."""

import json
import sys

import keras
import numpy as np

from capsnet.keras import CapsuleLayer, Length, Mask, PrimaryCap, margin_loss, squash


def build():
    """A small network with two outputs, as that of CapsNet-Keras."""
    x, y = keras.layers.Input((20, 20, 1)), keras.layers.Input((3,))
    conv = keras.layers.Conv2D(8, 5, activation="relu", name="conv1")(x)
    primary = PrimaryCap(conv, dim_capsule=4, n_channels=2, kernel_size=5, strides=2, padding="valid")
    digits = CapsuleLayer(num_capsule=3, dim_capsule=6, routings=3, name="digitcaps")(primary)
    decoder = keras.Sequential([keras.layers.Input((18,)), keras.layers.Dense(400, "sigmoid")], name="decoder")
    train = keras.Model([x, y], [Length(name="capsnet")(digits), decoder(Mask()([digits, y]))])
    return train, keras.Model(x, [digits, Length()(digits), decoder(Mask()(digits))])


def numbers(values):
    return keras.ops.convert_to_numpy(values)


def main(given, folder):
    """All differences and facts, as one JSON object."""
    arrays = np.load(given)
    facts = {"backend": keras.backend.backend(), "torch": "torch" in sys.modules}
    train, evaluation = build()
    names = ("stem_weight", "stem_bias", "primary_weight", "primary_bias", "matrices")
    for weight, name in zip(train.weights[:5], names, strict=True):
        weight.assign(arrays[name])

    def differ(values, name):
        return float(np.abs(numbers(values).astype("float64") - arrays[name]).max())

    poses, lengths, _ = evaluation.predict(arrays["images"], batch_size=3, verbose=0)
    facts["poses"], facts["lengths"] = differ(poses, "poses"), differ(lengths, "lengths")
    facts["squash"] = differ(squash(arrays["vectors"]), "squashed")
    loss = margin_loss(arrays["targets"], arrays["lengths"])
    facts["margin_loss"] = differ(keras.ops.mean(loss), "loss")
    facts["masked"] = differ(Mask()([arrays["poses"], arrays["targets"]]), "masked")
    facts["longest"] = differ(Mask()(arrays["poses"]), "longest")
    rows, images = arrays["targets"], arrays["images"]
    flat = images.reshape(len(images), -1)
    train.compile("adam", loss=[margin_loss, "mse"], loss_weights=[1.0, 0.4])
    before = train.evaluate([images, rows], [rows, flat], verbose=0)[0]
    train.fit([images, rows], [rows, flat], batch_size=7, epochs=8, verbose=0)
    facts["learned"] = train.evaluate([images, rows], [rows, flat], verbose=0)[0] < before
    train.save(f"{folder}/model.keras")
    # no custom_objects: the layers are registered
    again = keras.saving.load_model(f"{folder}/model.keras")
    saved = train.predict([images, rows], verbose=0)[0]
    facts["reloaded"] = float(np.abs(again.predict([images, rows], verbose=0)[0] - saved).max())
    facts["routings"] = again.get_layer("digitcaps").routings
    train.save_weights(f"{folder}/model.weights.h5")
    np.savez(f"{folder}/trained.npz", lengths=saved)
    keras.config.set_dtype_policy("mixed_bfloat16")
    mixed, _ = build()
    mixed.set_weights(train.get_weights())
    half = mixed.predict([images, rows], verbose=0)[0]
    facts["mixed"] = float(np.abs(half.astype("float32") - saved).max())
    facts["mixed_type"] = keras.backend.standardize_dtype(mixed.get_layer("digitcaps").W.dtype)
    print(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
