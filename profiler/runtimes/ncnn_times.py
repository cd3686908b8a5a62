"""Reads the times of ncnn's layers as the worker took them; what is not understood is an error, never 0 ms."""

from __future__ import annotations

import json

from profiler.errors import MeasurementError
from profiler.runtimes.operator_profile import OperatorProfile, summarise_runs


def read_ncnn_times(profile: bytes, *, runs: int) -> OperatorProfile:
    """Return the layers' latencies from the times of several runs.

    Args:
        profile: JSON object with `layers`, name and type of each, and `runs`, each with `elapsed_ns` and
            `layers_ns`.
        runs: Runs that were made.

    Raises:
        MeasurementError: The object is not as said, or a layer has no time.
    """
    try:
        content = json.loads(profile)
        layers = [(str(name), str(kind)) for name, kind in content["layers"]]
        layers_us = [[float(value) / 1e3 for value in run["layers_ns"]] for run in content["runs"]]
        whole_us = [float(run["elapsed_ns"]) / 1e3 for run in content["runs"]]
    except (ValueError, TypeError, KeyError) as err:
        raise MeasurementError(f"ncnn's profile could not be understood: {err!r}") from err
    if len(layers_us) != runs or not layers or any(len(run) != len(layers) or min(run) <= 0 for run in layers_us):
        raise MeasurementError("ncnn's profile has no layers, or not a time for each in each run")
    return summarise_runs(layers, layers_us, whole_us)
