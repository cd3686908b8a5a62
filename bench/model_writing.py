"""How long it takes to write a network as .tflite and .onnx, beside the limits that a campaign can afford.

A kernel is written before each new measurement, so a file of one operator should take a millisecond at most;
MobileNetV2 with its weights should take 300.  The time for one operator is the median over all kinds.

    python bench/model_writing.py [--repeats 20] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from profiler.formats import Quantization, write_onnx, write_tflite
from profiler.network import (
    OPERATOR_KINDS,
    Add,
    AvgPool2d,
    ChannelShuffle,
    Concat,
    Conv2d,
    Dense,
    DepthToSpace,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    MaxPool2d,
    Mean,
    Mul,
    Network,
    Operator,
    Pad,
    Reshape,
    ResizeBilinear,
    ResizeNearest,
    Split,
    TensorSpec,
    Transpose,
    TransposeConv2d,
)
from profiler.zoo import mobilenet_v2

ONE_OPERATOR_LIMIT_MS = 1.0
MOBILENET_LIMIT_MS = 300.0

_IMAGE = TensorSpec("x", (1, 28, 28, 32))
_MATRIX = TensorSpec("x", (1, 256))
_X, _XX = ("x",), ("x", "x")
_WITH_ATTRIBUTES: tuple[Operator, ...] = (
    Conv2d("y", _X, 64),
    DepthwiseConv2d("y", _X),
    TransposeConv2d("y", _X, 16),
    Dense("y", _X, 100),
    Add("y", _XX),
    Mul("y", _XX),
    Concat("y", _XX),
    Split("y", _X, 2),
    ChannelShuffle("y", _X, 4),
    MaxPool2d("y", _X),
    AvgPool2d("y", _X),
    GlobalAvgPool2d("y", _X),
    Pad("y", _X, ((0, 0), (1, 1), (1, 1), (0, 0))),
    ResizeBilinear("y", _X, (56, 56)),
    ResizeNearest("y", _X, (56, 56)),
    DepthToSpace("y", _X, 2),
    Reshape("y", _X, (1, 28 * 28 * 32)),
    Transpose("y", _X, (0, 3, 1, 2)),
    Mean("y", _X, (3,)),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table (or only the JSON line), and return 0 when every limit is kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=20, help="how often each file is written")
    parser.add_argument("--json", action="store_true", help="print the JSON line alone")
    options = parser.parse_args(arguments)
    result = run(options.repeats)
    if not options.json:
        print_table(result)
    print(json.dumps(result))
    return 0 if all(row["ratio_to_limit"] <= 1 for row in result["rows"]) else 1


def run(repeats: int) -> dict[str, Any]:
    """Time every writer on one-operator networks of each kind, and on MobileNetV2.

    Args:
        repeats: Files written of each network, >= 1; its time is their median.
    """
    kernels = one_operator_networks()
    mobilenet = mobilenet_v2().with_random_weights(np.random.default_rng(0))
    rows: list[dict[str, Any]] = []
    for name, write in writers().items():
        by_kind = {network.name: median_ms(write, network, repeats) for network in kernels}
        slowest = max(by_kind, key=by_kind.__getitem__)
        rows.append(
            {
                "file": f"one operator, {name}",
                "n": len(kernels) * repeats,
                "median_ms": statistics.median(by_kind.values()),
                "slowest_ms": by_kind[slowest],
                "slowest": slowest,
                "limit_ms": ONE_OPERATOR_LIMIT_MS,
            }
        )
        whole = median_ms(write, mobilenet, repeats)
        rows.append(
            {"file": f"MobileNetV2 224, {name}", "n": repeats, "median_ms": whole, "limit_ms": MOBILENET_LIMIT_MS}
        )
    for row in rows:
        row["ratio_to_limit"] = row["median_ms"] / row["limit_ms"]
    return {"bench": "model_writing", "repeats": repeats, "rows": rows}


def writers() -> dict[str, Callable[[Network], bytes]]:
    """Return what is timed, by the name of its format."""
    return {
        ".tflite": write_tflite,
        ".tflite int8": lambda network: write_tflite(network, quantization=Quantization.nominal(network)),
        ".onnx": write_onnx,
    }


def one_operator_networks() -> list[Network]:
    """Return a network of one operator, with weights, for every kind that can be written; named after the kind."""
    given = {operator.kind: operator for operator in _WITH_ATTRIBUTES}
    plain = OPERATOR_KINDS.keys() - given.keys() - {"opaque"}
    operators = [*given.values(), *(OPERATOR_KINDS[kind]("y", _X) for kind in sorted(plain))]
    rng = np.random.default_rng(0)
    return [
        Network(
            operator.kind, [_MATRIX if operator.kind == "dense" else _IMAGE], [operator], operator.outputs
        ).with_random_weights(rng)
        for operator in operators
    ]


def median_ms(write: Callable[[Network], bytes], network: Network, repeats: int) -> float:
    """Return the median time to write a network, in ms, after writing it once unmeasured."""
    write(network)
    samples_ms = []
    for _ in range(repeats):
        started = time.perf_counter()
        write(network)
        samples_ms.append((time.perf_counter() - started) * 1e3)
    return statistics.median(samples_ms)


def print_table(result: dict[str, Any]) -> None:
    """Print the rows for a person."""
    print(f"{'file':30} {'n':>6} {'median':>10} {'limit':>8} {'ratio':>7}   slowest kind")
    for row in result["rows"]:
        slowest = f"{row['slowest']} {row['slowest_ms']:.2f} ms" if "slowest" in row else ""
        print(
            f"{row['file']:30} {row['n']:6} {row['median_ms']:7.3f} ms {row['limit_ms']:5.0f} ms"
            f" {row['ratio_to_limit']:6.2f}x   {slowest}"
        )


if __name__ == "__main__":
    sys.exit(main())
