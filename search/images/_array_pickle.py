"""Reads arrays out of pickles without running anything that the pickle names.

Two data sets come as pickles of NumPy arrays.  A pickle is a program: it may import and call whatever it
likes.  Here it gets stand-ins for the three names that such pickles need, which only take notes, and nothing
else; the arrays are made from the notes afterwards, with every size checked.
"""

from __future__ import annotations

import io
import pickle
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from search.errors import DataError

_DTYPES = {"b1": 1, "u1": 1, "i1": 1, "i2": 2, "i4": 4, "i8": 8, "f4": 4, "f8": 8}
"""Element types that a pickle may hold, and their bytes; never objects."""

_BROKEN = (
    pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError, MemoryError, OverflowError,
    RecursionError, TypeError, ValueError, struct.error,
)  # fmt: skip
"""What the standard library's unpickler raises on bytes that are no pickle, or a hostile one."""


class _Inert(type):
    """Class of the stand-ins: a pickle cannot set attributes on them either."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise pickle.UnpicklingError(f"the pickle tries to change {cls.__name__}")


class _Dtype(metaclass=_Inert):
    """Notes an element type; stands in for numpy.dtype."""

    __slots__ = ("byte_order", "code")

    def __init__(self, code: object, *_: object) -> None:
        self.code = code if isinstance(code, str) else ""
        self.byte_order = "|"

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.byte_order = state[1]

    def resolved(self) -> np.dtype[Any]:
        if self.code not in _DTYPES:
            raise pickle.UnpicklingError(f"arrays of type {self.code!r} are not accepted")
        return np.dtype(self.byte_order + self.code)


class _Array(metaclass=_Inert):
    """Notes the parts of an array; stands in for what numpy's reconstruction makes."""

    __slots__ = ("_state",)

    def __init__(self, *_: object) -> None:
        self._state: object = None

    def __setstate__(self, state: object) -> None:
        self._state = state

    def resolved(self) -> npt.NDArray[Any]:
        match self._state:
            case (int(), tuple(shape), _Dtype() as dtype, bool(fortran), bytes() | str() as data):
                element = dtype.resolved()
            case _:
                raise pickle.UnpicklingError("an array in it has another form than NumPy writes")
        # Python 2 wrote the bytes as a string; it is read as latin-1, which keeps each byte.
        raw = data.encode("latin-1") if isinstance(data, str) else data
        if not all(type(size) is int and size >= 0 for size in shape):
            raise pickle.UnpicklingError(f"an array in it has the shape {shape!r}")
        if int(np.prod([int(size) for size in shape], dtype=object)) * element.itemsize != len(raw):
            raise pickle.UnpicklingError(f"an array in it has {len(raw)} bytes, not those of shape {shape}")
        return np.frombuffer(raw, element).reshape(shape, order="F" if fortran else "C").copy()


class _ArrayType(metaclass=_Inert):
    """Stands in for the class numpy.ndarray where it is only an argument."""

    __slots__ = ()

    def __init__(self, *_: object) -> None:
        raise pickle.UnpicklingError("the pickle makes an array in a way that NumPy does not write")


class _Bytes(metaclass=_Inert):
    """Notes text that stands for bytes; stands in for _codecs.encode, by which protocol 2 writes bytes."""

    __slots__ = ()

    def __new__(cls, text: object = None, encoding: object = "latin1") -> Any:
        if not isinstance(text, str) or encoding != "latin1":
            raise pickle.UnpicklingError("the pickle encodes something else than latin-1 text")
        return text.encode("latin-1")


_STAND_INS: dict[tuple[str, str], type] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Bytes,
}


class _ArrayUnpickler(pickle._Unpickler):
    """Finds stand-ins only, and no module at all.

    It is the standard library's unpickler in Python, since the one in C sets aside as much memory as an
    opcode of five bytes asks for.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name, and refuse every other name."""
        stand_in = _STAND_INS.get((module, name))
        if stand_in is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no image file needs")
        return stand_in


def read_array_pickle(content: bytes, *, source: str) -> Any:
    """Return what a pickle holds: an array, or a dictionary of arrays, numbers, texts and lists of such.

    Args:
        content: The pickle.
        source: Where it comes from, for the error.

    Raises:
        DataError: The pickle is damaged, or names or holds anything else.
    """
    try:
        held = _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
        if isinstance(held, dict):
            return {key: _resolved(value) for key, value in held.items() if isinstance(key, str)}
        return _resolved(held)
    except _BROKEN as err:
        # What other errors say is about the unpickler's inside.
        problem = str(err) if isinstance(err, pickle.UnpicklingError) else "it is damaged"
        raise DataError(f"is not a pickle of arrays ({problem}); get the file anew", source=source) from err


def _resolved(value: object) -> object:
    """Return a value with the array in place of its notes."""
    if isinstance(value, _Array):
        return value.resolved()
    for member in value if isinstance(value, list) else [value]:
        if not isinstance(member, (int, float, str, bytes)):
            raise pickle.UnpicklingError(f"it holds a {type(member).__name__} where no image file has one")
    return value
