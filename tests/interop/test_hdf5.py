"""Keras' HDF5 files are read with bounds, and nothing outside the file is."""

import zipfile

import h5py
import numpy as np
import pytest
from tests.interop import keras_files

from capsnet import UserError
from capsnet.interop import hdf5
from capsnet.interop.hdf5 import read_keras_file, write_keras_2

ONE = [("dense", {"dense/kernel:0": np.ones((2, 3), "f4"), "dense/bias:0": np.zeros(3, "f4")})]


def write(tmp_path, layers=ONE, **options):
    return keras_files.write_keras_2(tmp_path / "file.h5", layers, **options)


def test_layers_are_in_the_order_of_the_file(tmp_path):
    file = read_keras_file(write(tmp_path, [("z_10", ONE[0][1]), ("input", {}), ("z_9", ONE[0][1])]))
    assert [layer.name for layer in file.layers] == ["z_10/dense", "z_9/dense"]
    assert file.layers[0].shapes == ((2, 3), (3,))
    assert file.config == {}


def test_weights_of_a_layer_are_together_though_averages_come_last(tmp_path):
    one = np.ones(2, "f4")
    names = ("a/gamma:0", "b/gamma:0", "a/mean:0", "b/mean:0")
    file = read_keras_file(write(tmp_path, [("model", dict.fromkeys(names, one))]))
    assert [list(layer.weights) for layer in file.layers] == [["gamma:0", "mean:0"]] * 2


def test_half_precision_is_widened(tmp_path):
    file = read_keras_file(write(tmp_path, [("dense", {"dense/kernel:0": np.ones((2, 3), "f2")})]))
    assert file.layers[0].arrays[0].dtype == np.float32


def test_bfloat16_of_keras_3_is_refused_by_name(tmp_path):
    path = tmp_path / "file.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/dense/vars/0", data=np.zeros((4, 3), "V2")).attrs["dtype"] = "bfloat16"
    with pytest.raises(UserError, match=r"vars/0' holds bfloat16 numbers, .* save the model again"):
        read_keras_file(path)


def test_what_was_written_is_read(tmp_path):
    write_keras_2(tmp_path / "out.h5", ONE)
    (layer,) = read_keras_file(tmp_path / "out.h5").layers
    assert layer.weights.keys() == {"kernel:0", "bias:0"}


def test_large_arrays_are_refused_before_they_are_read(tmp_path):
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        file.create_group("dense").attrs["weight_names"] = [b"kernel"]
        # nothing is written: the file has two kilobytes
        file["dense"].create_dataset("kernel", shape=(1 << 20, 1 << 20), dtype="f4", chunks=(1024, 1024))
    assert path.stat().st_size < 1e5
    with pytest.raises(UserError, match=r"holds 1,099,511,627,776 numbers, the limit is 268,435,456"):
        read_keras_file(path)


def test_arrays_that_a_small_file_cannot_hold_are_refused(tmp_path):
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        file.create_group("dense").attrs["weight_names"] = [b"kernel"]
        file["dense"].create_dataset("kernel", shape=(1 << 22,), dtype="f4", chunks=(1024,))
    with pytest.raises(UserError, match=r"states arrays of 16,777,216 bytes"):
        read_keras_file(path)


def test_many_objects_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "MAX_OBJECTS", 2)
    with pytest.raises(UserError, match="more than 2 groups and arrays"):
        read_keras_file(write(tmp_path))


def test_numbers_in_another_file_are_not_read(tmp_path):
    path, other = tmp_path / "file.h5", tmp_path / "other.raw"
    np.ones(4, "f4").tofile(other)
    with h5py.File(path, "w") as file:
        file.create_dataset("dense/kernel", (4,), "f4", external=[(str(other), 0, 16)])
    with pytest.raises(UserError, match="'dense/kernel' lie in other files"):
        read_keras_file(path)


def test_links_into_other_files_are_not_followed(tmp_path):
    other, path = write(tmp_path), tmp_path / "linked.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        file["dense"] = h5py.ExternalLink(str(other), "/dense")
    with pytest.raises(UserError, match="names the layer 'dense' but does not hold it"):
        read_keras_file(path)


def test_missing_weight_is_named(tmp_path):
    path = write(tmp_path)
    with h5py.File(path, "a") as file:
        del file["dense/dense/kernel:0"]
    with pytest.raises(UserError, match="names the weight 'dense/dense/kernel:0' but does not hold it"):
        read_keras_file(path)


@pytest.mark.parametrize("content", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n" + b"\xff" * 500])
def test_damaged_files_are_refused(tmp_path, content):
    path = tmp_path / "file.h5"
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as a Keras file"):
        read_keras_file(path)


def test_every_cut_file_is_refused(tmp_path):
    path = write(tmp_path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError):
            read_keras_file(path)


def test_archive_without_weights_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(UserError, match=r"is a zip archive without model\.weights\.h5"):
        read_keras_file(path)


def test_description_that_is_not_json_is_refused(tmp_path):
    with pytest.raises(UserError, match="the description of the model is not JSON"):
        read_keras_file(write(tmp_path, whole=True, config="(lambda: 0)()"))
