import io
import json
import struct
import tarfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from capsnet.data import load_data
from capsnet.data.tars import read_tar
from capsnet.errors import UserError
from capsnet.inference.images import find_images
from capsnet.runs.splits import read_splits
from capsnet.training import train


def picture(level, form="PNG"):
    content = io.BytesIO()
    Image.new("RGB", (9, 7), (level, 0, 200)).save(content, form)
    return content.getvalue()


def pack(members, form=tarfile.USTAR_FORMAT):
    """A tar archive of files by name, each with its content or, in a list, the type of another member."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=form) as archive:
        for name, data in members:
            header = tarfile.TarInfo(name)
            if isinstance(data, bytes):
                header.size = len(data)
                archive.addfile(header, io.BytesIO(data))
            else:
                header.type, header.linkname = data[0], "/etc/passwd"
                archive.addfile(header)
    return content.getvalue()


def sample(key, label, level=10):
    return [(f"{key}.png", picture(level)), (f"{key}.cls", str(label).encode())]


@pytest.fixture
def save(tmp_path):
    def write(data, name="a.tar"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else pack(data))
        return path

    return write


@pytest.fixture(scope="module")
def shard():
    return pack([*sample("a", 0), *sample("b", 1), *sample("c/d", 0)])


def test_each_kind_of_label_is_read(save):
    path = save(
        [
            *sample("a", 3),
            ("b.JPG", picture(20, "JPEG")),
            ("b.json", b'{"label": 4, "caption": "x"}'),
            ("c.png", picture(30)),
            ("c.txt", b"a long description"),
            ("c.cls", b"5\n"),
            ("._a.png", b"of a Mac"),
            ("c.seg.png", picture(1)),
        ]
    )
    images = read_tar(path)
    assert images.labels == {"a.png": 3, "b.JPG": 4, "c.png": 5}
    assert images.others == {"seg.png": 1}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_of_each_format_are_read(save, form):
    name = "/".join(["long" * 12] * 4)
    images = read_tar(save(pack(sample(name, 1), form)))
    assert images.labels == {f"{name}.png": 1}


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("a.png", [tarfile.SYMTYPE])], "'a.png' is a link"),
        ([("a.png", [tarfile.LNKTYPE])], "'a.png' is a link"),
        ([("a.png", [tarfile.CHRTYPE])], "no regular file"),
        (sample("/a", 0), "'/a.png' leads out"),
        (sample("b/../../a", 0), "leads out"),
        ([*sample("a", 0), *sample("a", 1)], "two images of the name 'a'"),
        ([("a.png", picture(1)), ("a.jpg", picture(1, "JPEG"))], "two images of the name 'a'"),
        ([("a.png", picture(1))], "a.png has no label"),
        ([("a.png", picture(1)), ("a.cls", b"one")], "whole number"),
        ([("a.png", picture(1)), ("a.json", b"[" * 9999)], "not JSON"),
        ([("a.png", picture(1)), ("a.json", b'{"label": [1]}')], "whole number or a name"),
        ([("a.png", picture(1)), ("a.cls", b"1" * 99)], "at most 64"),
        ([("a.cls", b"1")], "holds no images"),
        ([], "holds no images"),
    ],
)
def test_other_members_are_refused(save, members, reason):
    with pytest.raises(UserError, match=reason) as caught:
        read_tar(save(members))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [100, 700, 1700, -10240, -9000])
def test_truncated_archive_is_refused(save, shard, count):
    end = len(shard.rstrip(b"\0"))
    cut = shard[:count] if count > 0 else shard[: end - end % 512 + 512 * (count == -9000)]
    with pytest.raises(UserError, match="truncated or damaged"):
        read_tar(save(cut))


def test_archives_that_were_joined_are_refused(save, shard):
    with pytest.raises(UserError, match="joined"):
        read_tar(save(shard + shard))


def test_compressed_archive_is_refused_with_what_to_do(save, shard):
    import gzip

    with pytest.raises(UserError, match="unpack it"):
        read_tar(save(gzip.compress(shard)))


def resize(shard, size):
    """The archive with another size in its first header."""
    header = bytearray(shard[:512])
    header[124:136] = size
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header) + shard[512:]


@pytest.mark.parametrize("size", [b"77777777777\0", b"\x80" + b"\0" * 6 + b"\x7f" + b"\0" * 4, b"\xff" * 12])
def test_size_beyond_the_file_is_refused(save, shard, size):
    with pytest.raises(UserError, match="truncated or damaged"):
        read_tar(save(resize(shard, size)))


def test_negative_size_in_an_extended_header_is_refused(save):
    record = b"14 size=-5120\n"
    assert len(record) == 14
    data = bytearray(pack([("x", record), *sample("a", 0)]))
    data[156:157] = tarfile.XHDTYPE
    data[148:156] = b" " * 8
    data[148:156] = f"{sum(data[:512]):06o}\0 ".encode()
    with pytest.raises(UserError, match="wrong size"):
        read_tar(save(bytes(data)))


@settings(max_examples=60, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=14)), max_size=4), st.booleans())
def test_damaged_archive_is_read_or_refused_in_one_line(tmp_path, shard, changes, sums):
    data = bytearray(shard[:6144])
    for start, piece in changes:
        data[start : start + len(piece)] = piece
    for start in range(0, len(data) - 512, 512) if sums else ():
        # headers whose checksums fit get further
        if data[start + 257 : start + 262] == b"ustar":
            data[start + 148 : start + 156] = b" " * 8
            data[start + 148 : start + 156] = struct.pack("8s", f"{sum(data[start : start + 512]):06o}\0 ".encode())
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    refusal = ""
    try:
        assert read_tar(path).members
    except UserError as fault:
        refusal = str(fault)
    assert not refusal or refusal.isprintable()


def test_images_are_those_of_the_same_files_in_class_folders(tmp_path, save, photos):
    names = sorted(path.relative_to(photos) for path in photos.rglob("*.*"))
    members = []
    for number, name in enumerate(names):
        members += [(f"{number:06}{name.suffix}", (photos / name).read_bytes())]
        members += [(f"{number:06}.json", json.dumps({"label": name.parent.name}).encode())]
    half = len(members) // 4 * 2
    save(members[:half], "train-0.tar")
    save(members[half:], "train-1.tar")
    packed, folder = load_data(str(tmp_path), image_size=4), load_data(str(photos), image_size=4)
    assert packed.train.class_names == folder.train.class_names

    def contents(dataset):
        parts = (dataset.train, dataset.test)
        images = torch.cat([part.images.flatten(1) for part in parts])
        labels = torch.cat([part.labels for part in parts])
        return sorted((int(label), *image.tolist()) for image, label in zip(images, labels, strict=True))

    assert contents(packed) == contents(folder)


def test_truncated_image_is_named_with_its_archive(save):
    path = save([("a.png", picture(1)[:-30]), ("a.cls", b"0"), *sample("b", 1)])
    with pytest.raises(UserError, match=r"a.tar/a.png is a damaged image"):
        load_data(str(path))


def test_classes_of_one_image_leave_no_test_split(save):
    with pytest.raises(UserError, match="no class holds 2 images"):
        load_data(str(save([*sample("a", 0), *sample("b", 1)])))


def test_run_is_told_of_archives_that_it_learned_from(save, tmp_path):
    members = [pair for key in range(12) for pair in sample(f"{key:02}", key % 2, 20 * key)]
    for number in range(2):
        save(members[12 * number : 12 * number + 12], f"a-{number}.tar")
    options = {"model": "capsnet-tiny", "image_size": 17, "steps": 1, "batch_size": 4, "device": "cpu"}
    run = train("own-images", data=str(tmp_path / "a-{0..1}.tar"), out=tmp_path / "run", **options)
    record = read_splits(run.folder)
    assert "sizes" not in record
    images = find_images(run.load_model(), tmp_path / "a-1.tar", run=run)
    learned = [name for name in (*record["train"], *record["validation"]) if name.startswith("a-1.tar/")]
    assert images.cautions[-1] == f"{len(learned)} of these images were training or validation images of the run."
    assert len(images.data) == 6


def test_two_labels_of_an_image_are_refused(save):
    with pytest.raises(UserError, match="a has two labels of this kind; keep one"):
        read_tar(save([("a.png", picture(3)), ("a.cls", b"0"), ("a.cls", b"1")]))


def test_a_text_with_zeros_before_its_digits_is_a_name(save):
    path = save([("a.png", picture(10)), ("a.txt", b"007\n"), ("b.png", picture(20)), ("b.txt", b"7")])
    assert read_tar(path).labels == {"a.png": "007", "b.png": 7}
