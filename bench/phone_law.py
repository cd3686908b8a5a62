"""How far the laws of emulated phones are from latencies that others measured, by family; and their calibration.

Networks whose id ends in 0 calibrate, the others are held out, and all of NAS-Bench-201; a family's error is the median
of |predicted / measured - 1|.  --fit starts from the middle of what is plausible and prints the numbers for a phone's
file.

    python bench/phone_law.py [--phone pixel4|mi9] [--data ../shared/phone-data] [--fit] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from nas_bench_201 import FAMILY as OUTSIDE
from nas_bench_201 import read_nasbench201
from nn_meter_graphs import MeasuredNetworks, read_networks
from published_data import add_data_option
from scipy.optimize import least_squares

from profiler.phone import load_phone
from profiler.phone.soc import Placement, Soc, StepTable, call_overhead_s, step_latencies_s

MAX_ERROR, MAX_FAMILY_ERROR = 0.06, 0.12
_PRIOR_WEIGHT = 0.02
"""Pull of a parameter's logarithm to the middle, in units of relative error: settles what the data do not tell."""
_ROBUST_SCALE = 0.03
_DIGITS = 3


@dataclass(frozen=True)
class Calibration:
    """What of a phone is fitted, and to which latencies.

    Attributes:
        device: Device of the latencies.
        placement: Where on the phone they are taken to be measured.
        ranges: Plausible (least, most) of each free number, by its path in `soc:`.
    """

    device: str
    placement: Placement
    ranges: Mapping[str, tuple[float, float]]


CALIBRATIONS: Mapping[str, Calibration] = MappingProxyType(
    {
        "pixel4": Calibration(
            "pixel4_cpu",
            Placement((7,), 1, "builtin"),
            {
                "clusters.2.dram_bytes_per_s": (6e9, 20e9),
                "routines.gemm.efficiency": (0.25, 1.0),
                "routines.gemm.prologue": (1.0, 64.0),
                "routines.gemm.burst_ns": (1.0, 100.0),
                "routines.gemm.overhead_us": (1.0, 20.0),
                "routines.depthwise.efficiency": (0.05, 0.5),
                "routines.depthwise.prologue": (0.5, 16.0),
                "routines.depthwise.burst_ns": (10.0, 1000.0),
                "routines.depthwise.overhead_us": (1.0, 20.0),
                "routines.pool.efficiency": (0.03, 0.5),
                "routines.pool.prologue": (0.5, 16.0),
                "routines.elementwise.efficiency": (0.03, 0.5),
                "routines.activation.efficiency": (0.02, 0.5),
                "routines.copy.burst_ns": (0.3, 30.0),
                "routines.permute.efficiency": (0.03, 1.0),
                "routines.reduce.efficiency": (0.02, 0.5),
            },
        ),
        "mi9": Calibration(
            "mi9_adreno640",
            Placement((7,), 1, "gpu"),
            {
                "gpu.bytes_per_s": (10e9, 34e9),
                "gpu.routines.gemm.efficiency": (0.04, 1.0),
                "gpu.routines.gemm.prologue": (1.0, 64.0),
                "gpu.routines.gemm.weight_passes": (1.0, 32.0),
                "gpu.routines.gemv.efficiency": (0.05, 1.0),
                "gpu.routines.depthwise.efficiency": (0.005, 0.5),
                "gpu.routines.depthwise.overhead_us": (5.0, 50.0),
                "gpu.routines.pool.efficiency": (0.002, 0.2),
                "gpu.routines.elementwise.efficiency": (0.002, 0.2),
                "gpu.routines.copy.overhead_us": (5.0, 100.0),
                "gpu.routines.reduce.efficiency": (0.0005, 0.05),
            },
        ),
    }
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a phone's errors by family (fitted anew or as shipped); return 0 when all are within their limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--phone", choices=sorted(CALIBRATIONS), default="pixel4", help="whose law")
    add_data_option(parser, "nn-meter/")
    parser.add_argument("--fit", action="store_true", help="calibrate, and print the numbers")
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    options = parser.parse_args(arguments)
    folder = options.data / "nn-meter"
    if not folder.is_dir():
        print(f"there is no {folder}: the latencies that others measured are not here", file=sys.stderr)
        return 2
    calibration = CALIBRATIONS[options.phone]
    networks, others = read_measured(folder, calibration)
    soc, fitted = load_phone(options.phone).soc, {}
    if options.fit:
        fitted = fit(soc, calibration, networks.selected(_calibrates(networks)))
        soc = _changed(soc, fitted)
    errors = errors_by_family(soc, calibration.placement, networks, others)
    if not options.json:
        for path, value in fitted.items():
            print(f"{path:<44} {value:g}")
        print((100 * errors).round(1).to_string())
    families = errors["open"].drop(OUTSIDE)
    within = bool(families["all"] <= MAX_ERROR and families.max() <= MAX_FAMILY_ERROR)
    print(json.dumps({"bench": "phone_law", "phone": options.phone, "within": within, "fitted": fitted,
                      "median_error": errors["open"].round(4).to_dict(),
                      "median_error_held_out": errors["held out"].round(4).to_dict()}))  # fmt: skip
    return 0 if within else 1


def read_measured(folder: Path, calibration: Calibration) -> tuple[MeasuredNetworks, MeasuredNetworks]:
    """Return the networks of the families, and of NAS-Bench-201, with a latency on the calibration's device."""
    device, delegate = calibration.device, calibration.placement.delegate
    return read_networks(folder, device, delegate), read_nasbench201(folder, device, delegate)


def errors_by_family(
    soc: Soc, placement: Placement, networks: MeasuredNetworks, others: MeasuredNetworks
) -> pd.DataFrame:
    """Return the median absolute errors: of all open rows, of those calibrated on, of those held out.

    Returns:
        Index: families, "all" of them, and NAS-Bench-201, which no number was calibrated on; columns "open",
        "calibrated", "held out" (relative errors) and "within 10 %" (share of the open rows).
    """
    error, family = _errors(soc, placement, networks), networks.frame["family"].to_numpy()
    calibrates = _calibrates(networks)
    rows = {name: _row(error[family == name], calibrates[family == name]) for name in sorted(set(family))}
    rows["all"] = _row(error, calibrates)
    outside = _errors(soc, placement, others)
    rows[OUTSIDE] = _row(outside, np.zeros(len(outside), dtype=bool))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["open", "calibrated", "held out", "within 10 %"])


def _row(error: np.ndarray, calibrates: np.ndarray) -> tuple[float, ...]:
    medians = [
        float(np.median(part)) if len(part) else math.nan for part in (error, error[calibrates], error[~calibrates])
    ]
    return (*medians, float(np.mean(error <= 0.1)))


def _errors(soc: Soc, placement: Placement, networks: MeasuredNetworks) -> np.ndarray:
    return np.abs(_predicted_ms(soc, placement, networks) / networks.frame["latency_ms"].to_numpy() - 1.0)


def fit(soc: Soc, calibration: Calibration, networks: MeasuredNetworks) -> dict[str, float]:
    """Return the free numbers that explain the latencies best, by path.

    Robust least squares on the logarithm of predicted / measured, over logarithms of the numbers within their ranges.

    Source: soft-L1 loss as in Triggs et al. 2000, "Bundle Adjustment: A Modern Synthesis", section 3.
    """
    bounds = np.log(np.array(list(calibration.ranges.values())))
    middle = bounds.mean(axis=1)
    measured_ms = networks.frame["latency_ms"].to_numpy()
    table = StepTable.of(networks.steps)

    def named(logarithms: np.ndarray) -> dict[str, float]:
        return {path: math.exp(value) for path, value in zip(calibration.ranges, logarithms, strict=True)}

    def residuals(logarithms: np.ndarray) -> np.ndarray:
        changed = _changed(soc, named(logarithms))
        predicted_ms = _predicted_ms(changed, calibration.placement, networks, table)
        return np.concatenate([np.log(predicted_ms / measured_ms), _PRIOR_WEIGHT * (logarithms - middle)])

    best = least_squares(residuals, middle, bounds=bounds.T, loss="soft_l1", f_scale=_ROBUST_SCALE, x_scale="jac")
    return {path: float(f"{value:.{_DIGITS}g}") for path, value in named(best.x).items()}


def _predicted_ms(
    soc: Soc, placement: Placement, networks: MeasuredNetworks, table: StepTable | None = None
) -> np.ndarray:
    steps_s = step_latencies_s(soc, networks.steps if table is None else table, placement)
    return np.asarray(1e3 * (networks.counts @ steps_s + call_overhead_s(soc, placement)))


def _calibrates(networks: MeasuredNetworks) -> np.ndarray:
    """Return which networks calibrate: those whose id, the number at its end, ends in 0.  Shape: (n_networks,)."""
    return networks.frame["model"].str.endswith("0").to_numpy(dtype=bool)


def _changed(soc: Soc, values: Mapping[str, float]) -> Soc:
    """Return a law with other numbers at some paths."""
    content: Any = soc.model_dump(mode="json")
    for path, value in values.items():
        *parents, name = path.split(".")
        part = content
        for parent in parents:
            part = part[int(parent)] if isinstance(part, list) else part[parent]
        part[name] = value
    return Soc.model_validate_json(json.dumps(content))


if __name__ == "__main__":
    sys.exit(main())
