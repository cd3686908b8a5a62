"""Pickles are data sets to read, never programs to run."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.errors import DataError
from search.images._array_pickle import read_array_pickle


def read(content: bytes) -> object:
    return read_array_pickle(content, source="test")


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", ">i8", "<f4", "bool"])
def test_arrays_come_back(dtype: str, protocol: int) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    found = read(pickle.dumps(array, protocol))
    assert isinstance(found, np.ndarray)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_columns_first_arrays_come_back() -> None:
    array = np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    np.testing.assert_array_equal(read(pickle.dumps(array, 2)), array)


def test_a_dictionary_of_a_batch_comes_back() -> None:
    batch = {"data": np.zeros((2, 3), np.uint8), "labels": [1, 0], "batch_label": "one", "filenames": ["a", "b"]}
    found = read(pickle.dumps(batch, 2))
    assert isinstance(found, dict)
    assert found["labels"] == [1, 0] and found["filenames"] == ["a", "b"]
    np.testing.assert_array_equal(found["data"], batch["data"])


def test_a_python_2_pickle_comes_back() -> None:
    # As Python 2 wrote it: protocol 2, with the bytes as an 8-bit string.
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x03\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x03\x00\x80\xfftb."
    )
    np.testing.assert_array_equal(read(content), np.array([0, 128, 255], np.uint8))


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.called = (function, arguments)

    def __reduce__(self) -> object:
        return self.called


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrap", [lambda attack: attack, lambda attack: {"data": attack}, lambda attack: [[attack]]])
def test_a_command_is_refused_and_not_run(tmp_path: Path, protocol: int, wrap: object) -> None:
    canary = tmp_path / "canary"
    content = pickle.dumps(wrap(Attack(os.system, f"touch {canary}")), protocol)  # type: ignore[operator]
    with pytest.raises(DataError, match="which no image file needs"):
        read(content)
    assert not canary.exists()


@pytest.mark.parametrize(
    "function", [eval, exec, open, getattr, __import__, np.load, np.fromfile, Path.unlink, pickle.loads]
)
def test_other_names_are_refused(function: object) -> None:
    with pytest.raises(DataError, match="not a pickle of arrays"):
        read(pickle.dumps(Attack(function, "canary")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a pickle of arrays"),
        (b"\x80\x04", "not a pickle of arrays"),
        (b"not a pickle", "not a pickle of arrays"),
        (pickle.dumps(np.zeros(3))[:-9], "not a pickle of arrays"),
        (pickle.dumps(np.array([{}, []], dtype=object)), "not a pickle of arrays"),
        (pickle.dumps(np.zeros(2, dtype=[("a", "u1")])), "not a pickle of arrays"),
        (pickle.dumps(np.zeros(2, dtype="U4")), "'U4' are not accepted"),
        (pickle.dumps([np.zeros(2)]), "not a pickle of arrays"),
        (pickle.dumps({"data": {"nested": 1}}), "a dict where"),
        (pickle.dumps(slice(1, 2)), "builtins.slice"),
        (b"cnumpy\nndarray\n(I3\nI4\ntR.", "in a way that NumPy does not write"),
        (b"c_codecs\nencode\n(Vabc\nVrot13\ntR.", "something else than latin-1"),
        (b"\x82\x01.", "not a pickle of arrays"),  # an extension code
        (b"Pname\n.", "not a pickle of arrays"),  # a persistent id
    ],
)
def test_damaged_and_odd_pickles_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(content)


def array_pickle(shape: str, data: bytes) -> bytes:
    """A pickle by hand: an array of bytes with any shape and any content."""
    return (
        b"\x80\x03cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR(I1\n" + shape.encode()
        + b"cnumpy\ndtype\n(Vu1\nI00\nI01\ntR(I3\nV|\nNNNI-1\nI-1\nI0\ntbI00\nC" + bytes([len(data)]) + data + b"tb."
    )  # fmt: skip


def test_a_pickle_by_hand_is_read() -> None:
    np.testing.assert_array_equal(read(array_pickle("(I3\nt", b"abc")), list(b"abc"))


ODD_SHAPES = [
    "(I4\nt", "(I-3\nt", "(I1000000000000\nt", "(I-1\nI-3\nt", "(F3.0\nt", "(Vx\nt", "I3\n",
    "(I4294967296\nI4294967296\nt",
]  # fmt: skip


@pytest.mark.parametrize("shape", ODD_SHAPES)
def test_a_shape_that_does_not_fit_the_bytes_is_refused(shape: str) -> None:
    with pytest.raises(DataError, match=r"not a pickle of arrays \(an array in it"):
        read(array_pickle(shape, b"abc"))


def test_a_huge_memo_index_takes_no_memory() -> None:
    """LONG_BINPUT with the largest index: the C unpickler would set 16 GiB aside."""
    content = b"\x80\x02K\x01r" + struct.pack("<I", 2**31 - 1) + b"."
    assert read(content) == 1


def test_a_stand_in_cannot_be_changed() -> None:
    # BUILD with slot state sets attributes on whatever is on the stack, here on the class itself.
    content = b"cnumpy\nndarray\nN}Vkey\nI1\ns\x86b."
    with pytest.raises(DataError, match="tries to change"):
        read(content)


def test_shared_lists_do_not_grow() -> None:
    nested: list[object] = [1]
    for _ in range(200):
        nested = [nested, nested]
    with pytest.raises(DataError, match="a list where"):
        read(pickle.dumps(nested))


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_damage_is_refused_or_harmless(data: st.DataObject) -> None:
    content = bytearray(pickle.dumps({"data": np.arange(6, dtype=np.uint8), "labels": [0, 1]}, 2))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read(bytes(content))
    except DataError:
        return
    assert isinstance(found, (dict, np.ndarray, int, float, str, bytes, list))


def test_the_attack_would_work_on_an_ordinary_unpickler(tmp_path: Path) -> None:
    """The canary test above tests something: the same bytes do run a command elsewhere."""
    canary = tmp_path / "canary"
    content = pickle.dumps(Attack(os.system, f"touch '{canary}'"))
    assert any(opcode.name == "REDUCE" for opcode, _, _ in pickletools.genops(content))
    pickle.Unpickler(io.BytesIO(content)).load()
    assert canary.exists()
