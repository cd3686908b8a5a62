"""Owns the checkpoint file of a search: its state as JSON and the accuracy source's arrays, in one file.

One safetensors file holds both, so that one rename replaces both: whenever the process is killed, the
file is the whole old checkpoint or the whole new one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from profiler.errors import SchemaMismatchError
from profiler.whole_file import write_whole_file
from search.errors import CheckpointError, GenotypeError
from search.space import G, SearchSpace
from search.state import State, state_from_json, state_to_json

SCHEMA = 2
"""Raised when a reader of the version before could no longer understand the file."""


@dataclass(frozen=True, slots=True)
class Checkpoint(Generic[G]):
    """A search at the end of a step.

    Attributes:
        identity: What the search is of (space, algorithm, constraint, seed, and what its accuracies rest on), in
            words; a search resumes only from its own.
        state: The algorithm's state.
        arrays: The accuracy source's state.
    """

    identity: Mapping[str, str]
    state: State[G]
    arrays: Mapping[str, NDArray[np.generic]]


def write_checkpoint(path: Path, checkpoint: Checkpoint[G], space: SearchSpace[G]) -> None:
    """Replace a checkpoint file; at no moment is there half of one.

    Args:
        path: The file; its folder exists.
        checkpoint: What to write.
        space: Encodes the genotypes.

    Raises:
        CheckpointError: The file cannot be written.
    """
    metadata = {
        "schema": str(SCHEMA),
        "identity": json.dumps(dict(checkpoint.identity)),
        "state": state_to_json(checkpoint.state, space),
    }
    # Not ascontiguousarray, which makes a vector of a scalar.
    arrays = {name: np.asarray(array, order="C") for name, array in checkpoint.arrays.items()}
    content = save(arrays, metadata=metadata)
    try:
        write_whole_file(path, content)
    except OSError as error:
        raise CheckpointError(path, f"cannot be written: {error.strerror}") from error


def read_checkpoint(path: Path, identity: Mapping[str, str], space: SearchSpace[G]) -> Checkpoint[G] | None:
    """Read a checkpoint file.

    Args:
        path: The file.
        identity: What the search that wants to resume is of.
        space: Decodes the genotypes.

    Returns:
        The checkpoint; None when there is no file.

    Raises:
        CheckpointError: The file is not a checkpoint, or one of another search.
        SchemaMismatchError: Another version of pocketnas wrote it.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            _check_schema(metadata, path)
            _check_identity(dict(json.loads(metadata["identity"])), identity, path)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            state = state_from_json(metadata["state"], space)
    except (SafetensorError, GenotypeError, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(path, f"not a checkpoint of a search ({error}); choose another folder") from error
    return Checkpoint(identity, state, arrays)


def _check_schema(metadata: Mapping[str, str], path: Path) -> None:
    found = int(metadata["schema"])
    if found > SCHEMA:
        raise SchemaMismatchError(found, SCHEMA, f"{str(path)!r} was written by a newer pocketnas; upgrade to read it")
    if found < SCHEMA:
        problem = f"{str(path)!r} was written by an older pocketnas; start anew in another folder"
        raise SchemaMismatchError(found, SCHEMA, problem)


def _check_identity(found: Mapping[str, Any], wanted: Mapping[str, str], path: Path) -> None:
    for key in {**wanted, **found}:
        if found.get(key) != wanted.get(key):
            raise CheckpointError(
                path, f"holds a search with {key} {found.get(key)!r}, not {wanted.get(key)!r}; choose another folder"
            )
