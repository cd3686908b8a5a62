"""Predicts latencies of whole networks on phones, from operator lists and other networks' latencies.

With files, it fits on the labelled rows, whatever devices they are of, and predicts the rows asked for:

    python bench/phone_networks.py --graphs DIR --fit CSV --rows CSV --out CSV

DIR holds FAMILY.json.gz: of each model, rows [op, h, w, cin, oh, ow, cout, kernel, stride] in execution order. The fit
file has device,family,model,latency_ms (a column std_ms is not read), the rows file device,family,model; the answer has
device,model,latency_ms,low_ms,high_ms,in_domain with 90 % intervals. A device with few rows borrows from the others.

Without files, it prints the table of protocols on the published latencies of three phones' processors, and a JSON line:

    python bench/phone_networks.py [--protocols random,left-out,ten,device,speed] [--data FOLDER] [--json]
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from published_data import add_data_option, exit_code_of, require_data

from predictor.errors import TrainingRowsError
from predictor.operator_lists import NetworkLatencies, OperatorLists, WholeNetworkPredictor
from profiler.whole_file import write_whole_file

ROW_COLUMNS = ("device", "family", "model")
LABEL_COLUMNS = (*ROW_COLUMNS, "latency_ms")
ANSWER_COLUMNS = ("device", "model", "latency_ms", "low_ms", "high_ms", "in_domain")

TOLERANCE = 0.1
FEW_LABELS = 10
FEW_NETWORKS = 20
BORROWERS: Mapping[str, str] = MappingProxyType({"mi9_adreno640": "pixel4_cpu", "pixel4_cpu": "mi9_adreno640"})
"""The devices that are unseen but for FEW_NETWORKS networks in turn, and whose rows they may borrow from. No two of the
open devices are of one sort, so this is harder than a GPU that borrows from a GPU."""


@dataclass(frozen=True)
class Rows:
    """Labelled networks.

    Attributes:
        networks: Their operator lists.
        device: Device of each. Shape of this and all below: (n,).
        family: Family of each.
        latency_ms: Measured latency of each.
    """

    networks: OperatorLists
    device: npt.NDArray[np.str_]
    family: npt.NDArray[np.str_]
    latency_ms: npt.NDArray[np.float64]

    def selected(self, rows: npt.NDArray[Any]) -> Rows:
        """Return some rows, by mask or number."""
        return Rows(self.networks.selected(rows), self.device[rows], self.family[rows], self.latency_ms[rows])


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict rows, or print the table; return 0, or 2 for bad input."""
    options = _parser().parse_args(arguments)
    predicts = options.graphs or options.fit or options.rows or options.out
    return exit_code_of(lambda: _predict(options) if predicts else _print_table(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--graphs", type=Path, help="folder of FAMILY.json.gz")
    parser.add_argument("--fit", type=Path, help="CSV, also .gz: device,family,model,latency_ms")
    parser.add_argument("--rows", type=Path, help="CSV, also .gz: device,family,model")
    parser.add_argument("--out", type=Path, help=f"CSV to write: {','.join(ANSWER_COLUMNS)}")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn")
    parser.add_argument("--protocols", default=",".join(PROTOCOLS), help="which rows of the table to print")
    parser.add_argument("--devices", help="devices of the table, with commas between them; all of them by default")
    add_data_option(parser)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    return parser


def _predict(options: argparse.Namespace) -> None:
    missing = [name for name in ("graphs", "fit", "rows", "out") if not getattr(options, name)]
    if missing:
        raise TrainingRowsError(f"give --{', --'.join(missing)} too")
    labelled = _read_table(options.fit, LABEL_COLUMNS)
    asked = _read_table(options.rows, ROW_COLUMNS)
    latency_ms = pd.to_numeric(labelled["latency_ms"], errors="coerce").to_numpy(dtype=float)
    graphs = read_graphs(options.graphs, [*labelled["family"], *asked["family"]])
    started = time.monotonic()
    predictor = WholeNetworkPredictor(seed=options.seed)
    predictor.fit(
        operator_lists(graphs, labelled), labelled["device"].tolist(), labelled["family"].tolist(), latency_ms
    )
    answer = predictor.predict(operator_lists(graphs, asked), asked["device"].tolist(), asked["family"].tolist())
    _write(options.out, asked, answer)
    print(
        json.dumps(
            {
                "bench": "phone_networks",
                "rows": len(asked),
                "devices": list(predictor.devices),
                "borrowed_from": predictor.donors,
                "seconds": round(time.monotonic() - started, 2),
            }
        )
    )


def read_graphs(folder: Path, families: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """Return the operator lists of the families, by model.

    Raises:
        TrainingRowsError: A family's file is absent or no JSON.
    """
    graphs = {}
    for family in dict.fromkeys(families):
        path = folder / f"{family}.json.gz"
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                graphs[family] = json.load(file)
        except (OSError, EOFError, ValueError) as error:
            raise TrainingRowsError(f"{str(path)!r} cannot be read: {error}", column="family") from error
    return graphs


def operator_lists(graphs: Mapping[str, Mapping[str, Any]], table: pd.DataFrame) -> OperatorLists:
    """Return the networks of a table's rows.

    Raises:
        TrainingRowsError: A model is not among the graphs, or its rows cannot be read.
    """
    models = list(zip(table["family"], table["model"], strict=True))
    for row, (family, model) in enumerate(models):
        if model not in graphs[family]:
            raise TrainingRowsError(f"{model!r} is not in {family}.json.gz", column="model", row=row + 1)
    try:
        return OperatorLists.of([graphs[family][model] for family, model in models])
    except (TypeError, ValueError) as error:
        raise TrainingRowsError(f"a graph cannot be read: {error}") from error


def _read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, EOFError, ValueError) as error:
        raise TrainingRowsError(f"{str(path)!r} cannot be read: {error}") from error
    for column in columns:
        if column not in table.columns:
            raise TrainingRowsError(f"{str(path)!r} has no such column", column=column)
    return table


def _write(path: Path, asked: pd.DataFrame, answer: NetworkLatencies) -> None:
    columns = {"device": asked["device"], "model": asked["model"]}
    columns |= {name: getattr(answer, name) for name in ANSWER_COLUMNS[len(columns) :]}
    text = pd.DataFrame(columns).to_csv(index=False, float_format="%.9g", lineterminator="\n")
    write_whole_file(path, text.encode())


def _print_table(options: argparse.Namespace) -> None:
    names = [name.strip() for name in options.protocols.split(",")]
    unknown = [name for name in names if name not in PROTOCOLS]
    if unknown:
        raise TrainingRowsError(f"there is no protocol {unknown[0]!r}; there are {', '.join(PROTOCOLS)}")
    rows = _open_rows(options.data)
    devices = options.devices.split(",") if options.devices else sorted(set(rows.device.tolist()))
    results: list[dict[str, Any]] = []
    if not options.json:
        print(
            f"{'protocol':<9} {'device':<14} {'±10 %':>6} {'worst':>6} {'MAPE':>6} {'cover':>6} {'worst':>6} {'±':>6}"
        )
    for name in names:
        for device in devices:
            for result in PROTOCOLS[name](rows, device, options.seed):
                results.append({"protocol": name, "device": device, **result})
                if not options.json:
                    print(_line(results[-1]), flush=True)
    print(json.dumps({"bench": "phone_networks", "seed": options.seed, "results": results}))


def _open_rows(folder: Path) -> Rows:
    require_data(folder)
    table = _read_table(folder / "nn-meter" / "latency.csv.gz", LABEL_COLUMNS)
    graphs = read_graphs(folder / "nn-meter" / "graphs", table["family"].tolist())
    texts = [table[name].to_numpy(dtype=np.str_) for name in ("device", "family")]
    return Rows(operator_lists(graphs, table), texts[0], texts[1], table["latency_ms"].to_numpy(dtype=float))


def _line(result: Mapping[str, Any]) -> str:
    if "seconds" in result:
        return (
            f"{result['protocol']:<9} {result['device']:<14} fit of {result['n']} networks in "
            f"{result['seconds']:.1f} s, at most {result['peak_gib']:.2f} GiB"
        )
    return (
        f"{result['protocol']:<9} {result['device']:<14} {result['within']:6.2f} {result['worst_within']:6.1f} "
        f"{result['mape']:6.2f} {result['coverage']:6.1f} {result['worst_coverage']:6.1f} {result['half_width']:6.1f}  "
        + " ".join(f"{family} {value:.1f}" for family, value in result["by_family"].items())
    )


def _fitted(rows: Rows, seed: int) -> WholeNetworkPredictor:
    return WholeNetworkPredictor(seed=seed).fit(
        rows.networks, rows.device.tolist(), rows.family.tolist(), rows.latency_ms
    )


def _random(rows: Rows, device: str, seed: int) -> Iterator[dict[str, Any]]:
    """A fifth of a device's networks is held out."""
    own = rows.selected(rows.device == device)
    out = np.random.default_rng(seed).random(len(own.device)) < 0.2
    yield _scores([_test(own.selected(~out), own.selected(out), seed)], by_network=True)


def _left_out(rows: Rows, device: str, seed: int, labels: int = 0) -> Iterator[dict[str, Any]]:
    """Each family is held out in turn, but for some labels."""
    own = rows.selected(rows.device == device)
    tests = []
    for family in np.unique(own.family):
        out = own.family == family
        known = np.random.default_rng(seed).permutation(np.flatnonzero(out))[:labels]
        out[known] = False
        tests.append(_test(own.selected(~out), own.selected(out), seed))
    yield _scores(tests, by_network=False)


def _ten(rows: Rows, device: str, seed: int) -> Iterator[dict[str, Any]]:
    yield from _left_out(rows, device, seed, FEW_LABELS)


def _device(rows: Rows, device: str, seed: int) -> Iterator[dict[str, Any]]:
    """A device has a few labels, and another has all of its own."""
    if device not in BORROWERS:
        return
    known = np.random.default_rng(seed).permutation(np.flatnonzero(rows.device == device))[:FEW_NETWORKS]
    out = rows.device == device
    out[known] = False
    train = rows.selected(np.concatenate([np.flatnonzero(rows.device == BORROWERS[device]), known]))
    yield _scores([_test(train, rows.selected(out), seed)], by_network=True)


def _speed(rows: Rows, device: str, seed: int) -> Iterator[dict[str, Any]]:
    own = rows.selected(rows.device == device)
    started = time.monotonic()
    _fitted(own, seed)
    seconds = time.monotonic() - started
    # Kilobytes on Linux; of the whole process, so with the rows of all devices.
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    yield {"n": len(own.device), "seconds": seconds, "peak_gib": peak_gib}


PROTOCOLS: Mapping[str, Callable[[Rows, str, int], Iterator[dict[str, Any]]]] = MappingProxyType(
    {"random": _random, "left-out": _left_out, "ten": _ten, "device": _device, "speed": _speed}
)


def _test(train: Rows, test: Rows, seed: int) -> pd.DataFrame:
    """Return, of each network held out, its family, relative error, whether it is covered, and how wide."""
    answer = _fitted(train, seed).predict(test.networks, test.device.tolist(), test.family.tolist())
    return pd.DataFrame(
        {
            "family": test.family,
            "error": np.abs(answer.latency_ms / test.latency_ms - 1.0),
            "covered": (answer.low_ms <= test.latency_ms) & (test.latency_ms <= answer.high_ms),
            "half_width": (answer.high_ms - answer.low_ms) / (2.0 * answer.latency_ms),
        }
    )


def _scores(tests: Sequence[pd.DataFrame], *, by_network: bool) -> dict[str, Any]:
    """Return percentages, over all networks alike or over families alike."""
    cases = pd.concat(tests).assign(within=lambda cases: cases["error"] <= TOLERANCE)
    values = ["within", "covered", "error"]
    by_family = 100.0 * cases.groupby("family")[values].mean()
    mean = 100.0 * cases[values].mean() if by_network else by_family.mean()
    return {
        "within": float(mean["within"]),
        "worst_within": float(by_family["within"].min()),
        "mape": float(mean["error"]),
        "coverage": float(mean["covered"]),
        "worst_coverage": float(by_family["covered"].min()),
        "half_width": 100.0 * float(cases.groupby("family")["half_width"].median().mean()),
        "n": len(cases),
        "by_family": by_family["within"].round(2).to_dict(),
    }


if __name__ == "__main__":
    sys.exit(main())
