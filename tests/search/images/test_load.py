from __future__ import annotations

import gzip
import importlib.util
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from search.errors import DataError
from search.images import ImageData, load_images
from search.images._data import LabelledImages, split

RNG = np.random.default_rng(0)


def assert_sound(data: ImageData) -> None:
    for pixels, labels in ((data.train_x, data.train_y), (data.val_x, data.val_y), (data.test_x, data.test_y)):
        assert pixels.dtype == np.float32 and labels.dtype == np.int64
        assert pixels.shape == (len(labels), *data.image_shape)
        assert pixels.flags.c_contiguous
        assert pixels.min() >= 0 and pixels.max() <= 1
        assert set(labels) == set(range(data.classes))


def test_digits_are_the_default_data_set() -> None:
    data = load_images("digits")
    assert_sound(data)
    assert data.image_shape == (8, 8, 1)
    assert data.classes == 10
    assert [len(data.train_y), len(data.val_y), len(data.test_y)] == [1078, 360, 359]
    assert data.train_x.max() == 1


def test_a_split_depends_on_the_seed_alone() -> None:
    first, again, other = (load_images("digits", seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.test_x, again.test_x) and np.array_equal(first.train_y, again.train_y)
    assert not np.array_equal(first.test_y, other.test_y)


def test_parts_share_no_image_and_keep_the_proportions() -> None:
    labels = np.repeat(np.arange(3), [10, 50, 100])
    images = LabelledImages(np.arange(160, dtype=np.float32).reshape(160, 1, 1, 1), labels)
    parts = split(images, np.random.default_rng(0), (0.6, 0.2, 0.2))
    seen = np.concatenate([part.pixels.ravel() for part in parts])
    assert sorted(seen) == list(range(160))
    assert [np.bincount(part.labels).tolist() for part in parts] == [[6, 30, 60], [2, 10, 20], [2, 10, 20]]


def test_digits_can_be_resized_and_limited() -> None:
    data = load_images("digits", resolution=12, limit=200)
    assert_sound(data)
    assert data.image_shape == (12, 12, 1)
    total = len(data.train_y) + len(data.val_y) + len(data.test_y)
    assert total == pytest.approx(200, abs=5)


@pytest.mark.parametrize(("arguments", "message"), [({"resolution": 3}, "at least 4"), ({"limit": 9}, "at least 10")])
def test_settings_out_of_range_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_images("digits", **arguments)  # type: ignore[arg-type]


def test_an_unknown_source_is_named() -> None:
    with pytest.raises(DataError, match="'digit': is neither a data set"):
        load_images("digit")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(DataError, match="must be a folder"):
        load_images(tmp_path / "images.pkl")


# --- animal-shapes


@pytest.fixture
def animals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package like animal-shape-mnist, with 12 images of each class; returns its data folder."""
    folder = tmp_path / "data" / "Animal Shape"
    folder.mkdir(parents=True)
    write_gzip(folder / "animal_data_version_3.gz", RNG.integers(256, size=(120, 28, 28), dtype=np.uint8))
    write_gzip(folder / "animal_label_version_3.gz", np.arange(120) % 10)
    found = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found if name == "animal_shape_mnist" else None)
    return folder


def write_gzip(path: Path, value: object) -> None:
    path.write_bytes(gzip.compress(pickle.dumps(value)))


def test_animal_shapes_are_read_without_their_loader(animals: Path) -> None:
    data = load_images("animal-shapes")
    assert_sound(data)
    assert data.image_shape == (28, 28, 1)
    assert data.class_names[:2] == ("Bear", "Bird")
    assert data.licence == "MIT" and data.mirrored


def test_animal_shapes_name_the_extra_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DataError, match=r"pip install 'pocketnas\[datasets\]'"):
        load_images("animal-shapes")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.arange(120), "labels beyond"),
        (np.arange(120) % 10 - 1, "labels beyond"),
        (np.arange(60) % 10, "labels of"),
        ({"labels": np.arange(120) % 10}, "does not hold an array"),
    ],
)
def test_odd_animal_shapes_are_refused(animals: Path, labels: object, message: str) -> None:
    write_gzip(animals / "animal_label_version_3.gz", labels)
    with pytest.raises(DataError, match=message):
        load_images("animal-shapes")


def test_damaged_animal_shapes_are_refused(animals: Path) -> None:
    path = animals / "animal_data_version_3.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        load_images("animal-shapes")


def test_animal_shapes_that_unpack_without_end_are_refused(animals: Path) -> None:
    (animals / "animal_data_version_3.gz").write_bytes(gzip.compress(bytes(2**26 + 1)))
    with pytest.raises(DataError, match="unpacks to more"):
        load_images("animal-shapes")


# --- a folder of pictures


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name, value in (("cats", 10), ("dogs", 200)):
        (tmp_path / name).mkdir()
        for number in range(10):
            Image.fromarray(np.full((20 + number, 30, 3), (value, 0, 0), np.uint8)).save(
                tmp_path / name / f"{number}.png"
            )
    (tmp_path / "cats" / "notes.txt").write_text("no picture")
    (tmp_path / ".thumbnails").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    return tmp_path


def test_each_folder_is_a_class(pictures: Path) -> None:
    data = load_images(pictures, resolution=32)
    assert_sound(data)
    assert data.image_shape == (32, 32, 3)
    assert data.class_names == ("cats", "dogs")
    np.testing.assert_allclose(data.train_x[data.train_y == 1][0, 0, 0], [200 / 255, 0, 0], rtol=1e-6)
    assert load_images(pictures, resolution=8).image_shape == (8, 8, 3)


def test_pictures_that_are_all_grey_have_one_channel(pictures: Path) -> None:
    for file in pictures.glob("*/*.png"):
        Image.new("L", (16, 12), 77).save(file)
    assert load_images(pictures).image_shape == (12, 16, 1)


def test_pictures_of_several_sizes_need_a_resolution(pictures: Path) -> None:
    with pytest.raises(DataError, match=r"cats/1\.png': has 30x21 pixels where others have 30x20; choose a resolution"):
        load_images(pictures)


def test_a_class_without_pictures_is_named(pictures: Path) -> None:
    (pictures / "mice").mkdir()
    (pictures / "mice" / "notes.txt").write_text("no picture")
    with pytest.raises(DataError, match="mice': is a class without pictures; add some, or remove the folder"):
        load_images(pictures, resolution=16)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_a_damaged_picture_is_named(pictures: Path, content: bytes) -> None:
    (pictures / "dogs" / "3.png").write_bytes(content)
    with pytest.raises(DataError, match=r"3\.png.*not a readable picture"):
        load_images(pictures, resolution=32)


def test_a_picture_cut_short_is_named(pictures: Path) -> None:
    Image.fromarray(RNG.integers(256, size=(64, 64, 3), dtype=np.uint8)).save(pictures / "dogs" / "3.png")
    content = (pictures / "dogs" / "3.png").read_bytes()
    (pictures / "dogs" / "3.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"3\.png.*not a readable picture"):
        load_images(pictures, resolution=32)


def test_a_decompression_bomb_is_refused(pictures: Path) -> None:
    Image.new("1", (9000, 9000)).save(pictures / "dogs" / "3.png")
    with pytest.raises(DataError, match="too many"):
        load_images(pictures, resolution=32)


def test_a_class_with_too_few_pictures_is_named(pictures: Path) -> None:
    (pictures / "few").mkdir()
    Image.new("L", (8, 8)).save(pictures / "few" / "1.png")
    with pytest.raises(DataError, match=r"class 'few' has 1 .*add some"):
        load_images(pictures, resolution=32)


def test_a_single_class_and_no_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no sub-folders with pictures"):
        load_images(tmp_path)
    (tmp_path / "only").mkdir()
    for number in range(6):
        Image.new("L", (8, 8)).save(tmp_path / "only" / f"{number}.png")
    with pytest.raises(DataError, match="1 class"):
        load_images(tmp_path)


# --- CIFAR-10


def cifar_members() -> dict[str, object]:
    names = ["cat", "dog", "ship"]
    members: dict[str, object] = {"batches.meta": {"label_names": names, "num_vis": 3072}}
    for member in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        labels = [index % 3 for index in range(30)]
        pixels = np.repeat(np.array(labels, np.uint8)[:, None] * 100, 3072, axis=1)
        pixels[:, 1024:] += 10  # green and blue
        members[member] = {"data": pixels, "labels": labels, "filenames": ["x.png"] * 30, "batch_label": member}
    return members


def write_cifar(folder: Path, members: dict[str, object]) -> Path:
    (folder / "cifar-10-batches-py").mkdir()
    for name, value in members.items():
        (folder / "cifar-10-batches-py" / name).write_bytes(pickle.dumps(value, 2))
    return folder


def write_cifar_archive(path: Path, members: dict[str, object]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, value in members.items():
            content = pickle.dumps(value, 2)
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize("form", ["archive", "folder", "inner folder"])
def test_cifar_10_is_read_from_archive_and_folder(tmp_path: Path, form: str) -> None:
    if form == "archive":
        source = write_cifar_archive(tmp_path / "cifar-10-python.tar.gz", cifar_members())
    else:
        source = write_cifar(tmp_path, cifar_members())
        source = source / "cifar-10-batches-py" if form == "inner folder" else source
    data = load_images(source)
    assert_sound(data)
    assert data.image_shape == (32, 32, 3)
    assert data.class_names == ("cat", "dog", "ship")
    assert [len(data.train_y), len(data.val_y), len(data.test_y)] == [120, 30, 30]
    expected = np.array([100, 110, 110], np.float32) / 255
    np.testing.assert_allclose(data.test_x[data.test_y == 1][0, 5, 7], expected, rtol=1e-6)


class Attack:
    def __reduce__(self) -> object:
        return exec, ("raise SystemExit('the pickle was run')",)


def damage(change: Callable[[dict[str, object]], object]) -> dict[str, object]:
    members = cifar_members()
    change(members)
    return members


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (damage(lambda members: members.pop("data_batch_3")), "data_batch_3"),
        (damage(lambda members: members.update(data_batch_2=Attack())), "names .*exec"),
        (damage(lambda members: members.update({"batches.meta": {}})), "label_names"),
        (damage(lambda members: members["test_batch"].update(labels=[7] * 30)), "labels outside"),  # type: ignore[attr-defined]
        (damage(lambda members: members["test_batch"].update(labels=[0])), "one label for each"),  # type: ignore[attr-defined]
        (damage(lambda members: members["test_batch"].update(data=np.zeros((30, 9)))), "3x32x32"),  # type: ignore[attr-defined]
    ],
)
@pytest.mark.parametrize("archived", [True, False])
def test_odd_cifar_10_is_refused(tmp_path: Path, members: dict[str, object], message: str, archived: bool) -> None:
    source = write_cifar_archive(tmp_path / "c.tar.gz", members) if archived else write_cifar(tmp_path, members)
    with pytest.raises(DataError, match=message):
        load_images(source)


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    path = write_cifar(tmp_path, cifar_members()) / "cifar-10-batches-py" / "data_batch_3"
    for content in (b"", b"junk", path.read_bytes()[:500]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"data_batch_3': is not a pickle of arrays \(.+\); get the file"):
            load_images(tmp_path)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_an_archive_with_flipped_bytes_is_refused(tmp_path: Path, place: float) -> None:
    path = write_cifar_archive(tmp_path / "c.tar.gz", cifar_members())
    content = bytearray(path.read_bytes())
    for index in range(int(len(content) * place), int(len(content) * place) + 6):
        content[index] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"c\.tar\.gz"):
        load_images(path)


@pytest.mark.parametrize("content", [b"", b"no archive", bytes(1024)])
def test_an_archive_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.tar.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"c\.tar\.gz"):
        load_images(tmp_path / "c.tar.gz")


def test_an_archive_cut_short_is_refused(tmp_path: Path) -> None:
    path = write_cifar_archive(tmp_path / "c.tar.gz", cifar_members())
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match=r"c\.tar\.gz"):
        load_images(path)


def test_links_and_paths_out_of_the_archive_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(pickle.dumps({"label_names": ["a", "b"]}, 2))
    path = tmp_path / "c.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("cifar-10-batches-py/batches.meta")
        link.type, link.linkname = tarfile.SYMTYPE, "../../secret"
        archive.addfile(link)
        climbing = tarfile.TarInfo("../climbed")
        archive.addfile(climbing)
    with pytest.raises(DataError, match="not a plain file"):
        load_images(path)
    assert not (tmp_path.parent / "climbed").exists()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["c.tar.gz", "secret"]


# --- .npz


def write_npz(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


X = RNG.integers(256, size=(40, 10, 12), dtype=np.uint8)
Y = np.repeat([3, 7], 20)


def test_arrays_are_read(tmp_path: Path) -> None:
    data = load_images(write_npz(tmp_path / "a.npz", x=X, y=Y))
    assert_sound(data)
    assert data.image_shape == (10, 12, 1)
    assert data.class_names == ("3", "7")
    with_test = write_npz(tmp_path / "b.npz", x=X / 255.0, y=Y, x_test=X[::2] / 255.0, y_test=Y[::2])
    assert len(load_images(with_test).test_y) == 20


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "x and y"),
        ({"x": X, "y": Y, "x_test": X}, "both or neither"),
        ({"x": X, "y": Y[:-1]}, "must have shape"),
        ({"x": X[0], "y": Y}, "must have shape"),
        ({"x": X[..., None].repeat(2, -1), "y": Y}, "must have shape"),
        ({"x": X.astype(np.int32), "y": Y}, "uint8 or floats"),
        ({"x": X, "y": Y / 2}, "whole numbers"),
        ({"x": X, "y": Y[:, None]}, "whole numbers"),
        ({"x": X.astype(np.float32), "y": Y}, "lie in 0 to 1"),
        ({"x": np.full(X.shape, np.nan), "y": Y}, "finite"),
        ({"x": X * 1e300, "y": Y}, "lie in 0 to 1"),
        ({"x": X[:, :2, :3], "y": Y}, "3x2 pixels; at least 4x4"),
        ({"x": X, "y": np.arange(40)}, "class '0' has 1 image"),
        ({"x": X, "y": np.zeros(40, int)}, "1 class"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y + 1}, "classes that y has not"),
        ({"x": X, "y": Y, "x_test": X[:, :5], "y_test": Y}, "different shapes"),
        ({"x": X, "y": np.array([{}] * 40, dtype=object)}, "not a readable"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, arrays: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_images(write_npz(tmp_path / "a.npz", **arrays))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY"])
def test_a_damaged_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"not a readable \.npz"):
        load_images(tmp_path / "a.npz")


def test_an_npz_cut_short_or_with_foreign_members_is_refused(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "a.npz", x=X, y=Y)
    content = path.read_bytes()
    for length in (len(content) // 2, len(content) - 30):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"a\.npz': is not a readable .*write or copy it anew"):
            load_images(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"junk")
        archive.writestr("y.npy", b"junk")
    with pytest.raises(DataError, match=r"a\.npz': y must be whole numbers"):
        load_images(path)
