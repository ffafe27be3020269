"""CapsNet-Keras' capsulenet.py on Keras 3 and any of its backends: the same flags, files and pictures.

    python examples/capsulenet_keras.py --epochs 50
    python examples/capsulenet_keras.py -t -w result/trained_model.weights.h5

It needs `pip install 'capsnet[keras]'`. Keras 3 requires the name `.weights.h5` for weights that it saves; files of
CapsNet-Keras itself, `.h5`, are loaded too. A twelfth of the training images is held out: `weights-NN.weights.h5` are
those of an epoch that was the best on them until then, `trained_model.weights.h5` those of the last epoch.
"""

import argparse
import os
from pathlib import Path

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "torch")
import keras

from capsnet.keras import CapsNet, load_arrays, margin_loss, perturbations, plot_log, save_images, shifted_batches


def train(model, x, y, args):
    held, folder = len(x) // 12, args.save_dir
    best = {"monitor": "val_capsnet_accuracy", "mode": "max", "save_best_only": True, "save_weights_only": True}
    callbacks = [
        keras.callbacks.CSVLogger(folder / "log.csv"),
        keras.callbacks.ModelCheckpoint(str(folder / "weights-{epoch:02d}.weights.h5"), **best),
        keras.callbacks.LearningRateScheduler(lambda epoch: args.lr * args.lr_decay**epoch),
    ]
    if args.debug:
        callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard-logs", histogram_freq=1))
    model.compile("adam", loss=[margin_loss, "mse"], loss_weights=[1.0, args.lam_recon], metrics=[["accuracy"], []])
    batches = shifted_batches(x[held:], y[held:], args.batch_size, args.shift_fraction)
    length = {"epochs": args.epochs, "steps_per_epoch": args.steps or (len(x) - held) // args.batch_size}
    held_out = (x[:held], y[:held]), (y[:held], x[:held])
    model.fit(batches, shuffle=False, validation_data=held_out, callbacks=callbacks, **length)
    model.save_weights(folder / "trained_model.weights.h5")
    plot_log(folder / "log.csv", folder / "log.png")


def test(model, x, y, args):
    lengths, drawn = model.predict(x, batch_size=100, verbose=0)
    print(f"test accuracy {np.mean(lengths.argmax(1) == y.argmax(1)):.4f} of {len(x):,} images")
    save_images(args.save_dir / "real_and_recon.png", np.concatenate([x[:50], drawn[:50]]))


def manipulate_latent(model, x, y, args):
    noise = perturbations(y.shape[1])
    chosen = np.flatnonzero(y.argmax(1) == args.digit)[:1].repeat(len(noise))
    drawn = model.predict([x[chosen], y[chosen], noise], verbose=0)
    save_images(args.save_dir / f"manipulate-{args.digit}.png", drawn, height=16)


def main(words=None):
    parser = argparse.ArgumentParser(description="Capsule network on MNIST.")
    parser.add_argument("--epochs", default=50, type=int)
    parser.add_argument("--batch_size", default=100, type=int)
    parser.add_argument("--lr", default=0.001, type=float, help="learning rate of the first epoch")
    parser.add_argument("--lr_decay", default=0.9, type=float, help="factor on it after each epoch")
    parser.add_argument("--lam_recon", default=0.392, type=float, help="weight of the decoder's mean squared error")
    parser.add_argument("-r", "--routings", default=3, type=int, help="routing iterations")
    parser.add_argument("--shift_fraction", default=0.1, type=float, help="largest shift, as a fraction of the side")
    parser.add_argument("--debug", action="store_true", help="write logs for TensorBoard; needs TensorFlow")
    parser.add_argument("--save_dir", default="result", type=Path)
    parser.add_argument("-t", "--testing", action="store_true", help="test, and draw the pictures")
    parser.add_argument("--digit", default=5, type=int, help="digit to manipulate")
    parser.add_argument("-w", "--weights", help="weights to start from or to test")
    parser.add_argument("--data", default="mnist", help="mnist, fashion-mnist or digits, which needs no download")
    parser.add_argument("--steps", default=0, type=int, help="steps of an epoch; 0: all images")
    args = parser.parse_args(words)
    args.save_dir.mkdir(parents=True, exist_ok=True)
    (x, y), (x_test, y_test) = load_arrays(args.data)
    model, eval_model, manipulate_model = CapsNet(x.shape[1:], y.shape[1], args.routings)
    if args.weights:
        model.load_weights(args.weights)
    if args.testing:
        manipulate_latent(manipulate_model, x_test, y_test, args)
        test(eval_model, x_test, y_test, args)
    else:
        train(model, x, y, args)


if __name__ == "__main__":
    main()
