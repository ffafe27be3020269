"""CapsNet-Keras' capsulenet.py on Keras 3 and any of its backends: the same flags, files and pictures.

    python examples/capsulenet_keras.py --epochs 50
    python examples/capsulenet_keras.py -t -w result/trained_model.h5

It needs `pip install 'capsnet[keras]'`. `--data digits` takes the embedded digits, which need no download. Weights are
saved as `.weights.h5`, the name that Keras 3 asks for; files of CapsNet-Keras itself, `.h5`, are loaded too.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from PIL import Image

from capsnet.data import load_data

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
from keras import layers, ops

from capsnet.keras import CapsuleLayer, Length, Mask, PrimaryCap, margin_loss


def CapsNet(input_shape, n_class, routings):
    """Three models that share all weights: for training, for tests, and to change the dimensions of a capsule."""
    x, y, noise = layers.Input(input_shape), layers.Input((n_class,)), layers.Input((n_class, 16))
    conv1 = layers.Conv2D(256, 9, activation="relu", name="conv1")(x)
    primary = PrimaryCap(conv1, dim_capsule=8, n_channels=32, kernel_size=9, strides=2, padding="valid")
    digits = CapsuleLayer(num_capsule=n_class, dim_capsule=16, routings=routings, name="digitcaps")(primary)
    lengths = Length(name="capsnet")(digits)
    dense = [layers.Dense(512, "relu"), layers.Dense(1024, "relu"), layers.Dense(int(np.prod(input_shape)), "sigmoid")]
    decoder = keras.Sequential([layers.Input((16 * n_class,)), *dense, layers.Reshape(input_shape)], name="decoder")
    noised = layers.Add()([digits, noise])
    return (
        keras.Model([x, y], [lengths, decoder(Mask()([digits, y]))]),
        keras.Model(x, [lengths, decoder(Mask()(digits))]),
        keras.Model([x, y, noise], decoder(Mask()([noised, y]))),
    )


def shifted_batches(x, y, args):
    """Batches without end; images are moved as by Keras' image generator."""
    move = layers.RandomTranslation(args.shift_fraction, args.shift_fraction, fill_mode="nearest")
    draws = np.random.default_rng()
    while True:
        order = draws.permutation(len(x))
        for start in range(0, len(x) - args.batch_size + 1, args.batch_size):
            chosen = order[start : start + args.batch_size]
            moved = ops.convert_to_numpy(move(x[chosen], training=True)) if args.shift_fraction else x[chosen]
            yield (moved, y[chosen]), (y[chosen], moved)


def train(model, x, y, args):
    """Train; the epoch that is best on a twelfth of the images, which are held out, is kept too."""
    held = len(x) // 12
    model.compile("adam", loss=[margin_loss, "mse"], loss_weights=[1.0, args.lam_recon], metrics=[["accuracy"], []])
    best = str(args.save_dir / "weights-{epoch:02d}.weights.h5")
    model.fit(
        shifted_batches(x[held:], y[held:], args),
        steps_per_epoch=args.steps or (len(x) - held) // args.batch_size,
        epochs=args.epochs,
        shuffle=False,
        validation_data=((x[:held], y[:held]), (y[:held], x[:held])),
        callbacks=[
            keras.callbacks.CSVLogger(str(args.save_dir / "log.csv")),
            keras.callbacks.ModelCheckpoint(
                best, "val_capsnet_accuracy", mode="max", save_best_only=True, save_weights_only=True
            ),
            keras.callbacks.LearningRateScheduler(lambda epoch: args.lr * args.lr_decay**epoch),
        ],
    )
    model.save_weights(str(args.save_dir / "trained_model.weights.h5"))


def test(model, x, y, args):
    """Print the accuracy; draw 50 images, and below them what the network draws for them."""
    lengths, drawn = model.predict(x, batch_size=100, verbose=0)
    print(f"test accuracy {np.mean(lengths.argmax(1) == y.argmax(1)):.4f} of {len(x):,} images")
    save_grid(np.concatenate([x[:50], drawn[:50]]), 10, args.save_dir / "real_and_recon.png")


def manipulate_latent(model, x, y, args):
    """Draw an image of the digit with each dimension of its capsule changed by -0.25 to 0.25, a row for each."""
    noise = np.zeros((16, 11, y.shape[1], 16), "float32")
    for dimension in range(16):
        noise[dimension, :, :, dimension] = np.linspace(-0.25, 0.25, 11)[:, None]
    first = np.flatnonzero(y.argmax(1) == args.digit)[:1].repeat(16 * 11)
    drawn = model.predict([x[first], y[first], noise.reshape(-1, *noise.shape[2:])], verbose=0)
    save_grid(drawn, 16, args.save_dir / f"manipulate-{args.digit}.png")


def save_grid(images, rows, path):
    """Write images as one picture, row by row."""
    _, height, width, channels = images.shape
    grid = images.reshape(rows, -1, height, width, channels).swapaxes(1, 2).reshape(rows * height, -1, channels)
    Image.fromarray((255 * grid).round().astype("uint8").squeeze()).save(path)
    print(path)


def read(part):
    """Images `m h w c` in [0, 1], and rows of zeros and ones."""
    return part.images.permute(0, 2, 3, 1).numpy() / np.float32(255), np.eye(10, dtype="float32")[part.labels.numpy()]


def main(words=None):
    """Train or test, as the flags say."""
    parser = argparse.ArgumentParser(description="Capsule network on MNIST.")
    parser.add_argument("--epochs", default=50, type=int)
    parser.add_argument("--batch_size", default=100, type=int)
    parser.add_argument("--lr", default=0.001, type=float, help="learning rate at first")
    parser.add_argument("--lr_decay", default=0.9, type=float, help="factor on it after each epoch")
    parser.add_argument("--lam_recon", default=0.392, type=float, help="weight of the decoder's mean squared error")
    parser.add_argument("-r", "--routings", default=3, type=int, help="routing iterations")
    parser.add_argument("--shift_fraction", default=0.1, type=float, help="largest shift, as a fraction of the side")
    parser.add_argument("--save_dir", default="result", type=Path)
    parser.add_argument("-t", "--testing", action="store_true", help="test, and draw the pictures")
    parser.add_argument("--digit", default=5, type=int, help="digit to manipulate")
    parser.add_argument("-w", "--weights", help="weights to start from or to test")
    parser.add_argument("--data", default="mnist", help="data set of ten classes: mnist, fashion-mnist, digits")
    parser.add_argument("--steps", default=0, type=int, help="steps of an epoch; 0: all images")
    args = parser.parse_args(words)
    args.save_dir.mkdir(parents=True, exist_ok=True)
    data = load_data(args.data)
    x_test, y_test = read(data.test)
    model, evaluation, manipulation = CapsNet(x_test.shape[1:], 10, args.routings)
    if args.weights:
        model.load_weights(args.weights)
    if args.testing:
        manipulate_latent(manipulation, x_test, y_test, args)
        test(evaluation, x_test, y_test, args)
    else:
        train(model, *read(data.train), args)


if __name__ == "__main__":
    main()
