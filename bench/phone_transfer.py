"""How well a new device is predicted from few of its labels and from other devices' latencies.

With a table of known devices and labels of a new one, it chooses k architectures, reads these labels and no others,
and writes predictions of all other architectures:

    python bench/phone_transfer.py --table CSV --id COLUMN --architecture COLUMN --sources A,B --labels CSV
        [--source-architectures 3000] [--k 10] [--seed 0] --out CSV

Without arguments it holds out devices of the published latencies of phones in turn, and prints one table (mean over
targets and seeds, with the 95 % interval of the mean over seeds) and a JSON line:

    python bench/phone_transfer.py [--seeds 5] [--data FOLDER] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from published_data import add_data_option, exit_code_of, require_data
from scipy.stats import spearmanr

from predictor.errors import TrainingRowsError
from predictor.transfer import DeviceTransfer, Labels, SourceDevices
from profiler.whole_file import write_whole_file

LABEL_COLUMNS = ("id", "latency_ms")


@dataclass(frozen=True)
class Protocol:
    """One set of held-out devices.

    Attributes:
        name: What the table calls it.
        file: Path in the folder of phone data.
        architecture: Column that names the architectures.
        others: Number of leading columns that are no devices.
        targets: Devices held out in turn; all others are sources.
        sizes: Numbers of labels.
        source_architectures: How many rows of the sources may be used.
        score: "spearman" or "mape".
    """

    name: str
    file: str
    architecture: str
    others: int
    targets: tuple[str, ...]
    sizes: tuple[int, ...]
    source_architectures: int
    score: str


PROTOCOLS = (
    Protocol(
        "NAS-Bench-201", "help/nasbench201.csv.gz", "arch_str", 2,
        ("essential_ph_1", "samsung_a50", "samsung_s7", "pixel3", "2080ti_1", "titanx_32", "silver_4210r"),
        (5, 10, 20, 50), 3000, "spearman",
    ),
    Protocol(
        "FBNet", "help/fbnet.csv.gz", "op_idx", 3, ("samsung_a50", "samsung_s7"), (5, 10, 20, 50), 3000, "spearman"
    ),
    Protocol("blocks", "nn-meter/block_latency.csv.gz", "key", 1, ("xiaomi11",), (10, 50, 200), 12116, "mape"),
)  # fmt: skip

REACH = {
    "NAS-Bench-201": {10: 0.960, 20: 0.963},
    "FBNet": {10: 0.84},
    "blocks": {10: 4.5, 50: 2.5},
}
"""What is to be reached: Spearman's rank correlation at least, mean absolute percentage error at most."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict a new device, or print the tables; return 0, or 2 for bad input."""
    options = _parser().parse_args(arguments)
    return exit_code_of(lambda: _predict(options) if options.table else _print_tables(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--table", type=Path, help="CSV, also .gz: one row an architecture, one column a source, in ms")
    parser.add_argument("--id", help="column that identifies the rows")
    parser.add_argument("--architecture", help="column that names the architectures")
    parser.add_argument("--sources", help="columns of the source devices, with commas between them")
    parser.add_argument("--source-architectures", type=int, default=3000, help="rows of the sources that may be used")
    parser.add_argument("--labels", type=Path, help="CSV with id,latency_ms of the new device")
    parser.add_argument("--k", type=int, default=10, help="labels that may be read")
    parser.add_argument("--seed", type=int, default=0, help="chooses the rows of the sources")
    parser.add_argument("--out", type=Path, help="CSV to write: id,latency_ms of all other rows")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of the tables")
    add_data_option(parser)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    return parser


def _predict(options: argparse.Namespace) -> None:
    """Choose k labels, read them, and write predictions of all other rows."""
    missing = [name for name in ("id", "architecture", "sources", "labels", "out") if not getattr(options, name)]
    if missing:
        raise TrainingRowsError(f"with --table, give --{', --'.join(missing)} too")
    if options.k < 1 or options.source_architectures < 1:
        raise TrainingRowsError("--k and --source-architectures must be at least 1")
    table = _read_table(options.table, [options.id, options.architecture])
    sources = [name.strip() for name in options.sources.split(",") if name.strip()]
    identities = table[options.id].tolist()
    if len(set(identities)) < len(identities):
        raise TrainingRowsError("an id is there twice", column=options.id)
    latency_ms = np.stack([_latencies(table, source) for source in sources], axis=1)
    labels = read_labels(options.labels, options.k)
    rows = np.random.default_rng(options.seed).permutation(len(table))[: options.source_architectures]
    known = SourceDevices(table[options.architecture].tolist(), latency_ms, rows=rows, seed=options.seed)
    transfer = DeviceTransfer(known, seed=options.seed)
    predicted_ms, chosen = predict_new_device(transfer, identities, labels)
    lines = [",".join(LABEL_COLUMNS)]
    lines += [
        f"{_quoted(identity)},{value:.9g}"
        for identity, value in zip(identities, predicted_ms, strict=True)
        if identity not in chosen
    ]
    write_whole_file(options.out, "\n".join([*lines, ""]).encode())
    print(json.dumps({"bench": "phone_transfer", "sources": sources, "asked": sorted(chosen), "rows": len(lines) - 1}))


def predict_new_device(
    transfer: DeviceTransfer, identities: Sequence[str], labels: Labels
) -> tuple[npt.NDArray[np.float64], frozenset[str]]:
    """Ask for as many labels as the budget allows, and predict all architectures.

    Returns:
        Latencies in ms, shape (len(identities),), and the ids that were asked for.
    """
    labelled = np.array([row for row, identity in enumerate(identities) if identity in labels.ids], dtype=np.int64)
    chosen = transfer.choose(labels.budget, labelled)
    measured_ms = np.array([labels.ask(identities[row]) for row in chosen])
    return transfer.predict(chosen, measured_ms), frozenset(labels.asked)


def read_labels(path: Path, budget: int) -> Labels:
    """Read ids and, as unread texts, latencies of a new device.

    Raises:
        TrainingRowsError: A column is missing, or an id is there twice.
    """
    table = _read_table(path, LABEL_COLUMNS)
    texts = dict(zip(table["id"], table["latency_ms"], strict=True))
    if len(texts) < len(table):
        raise TrainingRowsError("an id is there twice", column="id")
    return Labels(texts, budget)


def _read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise TrainingRowsError(f"{str(path)!r} cannot be read: {error}") from error
    for column in columns:
        if column not in table.columns:
            raise TrainingRowsError(f"{str(path)!r} has no such column", column=column)
    return table


def _latencies(table: pd.DataFrame, source: str) -> npt.NDArray[np.float64]:
    """Return a column in ms; an empty cell is a missing value."""
    if source not in table.columns:
        raise TrainingRowsError("the table has no such source", column=source)
    numbers = pd.to_numeric(table[source].replace("", "nan"), errors="coerce").to_numpy(dtype=float)
    unreadable = np.isnan(numbers) & ~table[source].str.lower().isin(["", "nan"]).to_numpy()
    if unreadable.any():
        raise TrainingRowsError("is no latency in ms", column=source, row=int(np.flatnonzero(unreadable)[0]) + 1)
    return numbers


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n') else text


def _print_tables(options: argparse.Namespace) -> None:
    """Hold out each target of each protocol, and print what was reached."""
    require_data(options.data)
    results: list[dict[str, Any]] = []
    if not options.json:
        print(f"{'protocol':<14} {'k':>4} {'score':<9} {'mean':>7} {'±':>6} {'n':>4} {'reach':>6}  by target")
    for protocol in PROTOCOLS:
        for result in _evaluate(protocol, options.data, options.seeds):
            results.append(result)
            if not options.json:
                by_target = " ".join(f"{target} {value:.3f}" for target, value in result["by_target"].items())
                print(
                    f"{result['protocol']:<14} {result['k']:>4} {result['score']:<9} {result['mean']:7.4f} "
                    f"{result['half_width']:6.4f} {result['n']:>4} {result['reach'] or '':>6}  {by_target}",
                    flush=True,
                )
    print(json.dumps({"bench": "phone_transfer", "seeds": options.seeds, "results": results}))


def _evaluate(protocol: Protocol, folder: Path, seeds: int) -> Iterator[dict[str, Any]]:
    table = _read_table(folder / protocol.file, [protocol.architecture])
    devices = list(table.columns[protocol.others :])
    latency_ms = np.stack([_latencies(table, device) for device in devices], axis=1)
    scores = np.full((len(protocol.sizes), len(protocol.targets), seeds), np.nan)
    for seed in range(seeds):
        rows = np.random.default_rng(seed).permutation(len(table))[: protocol.source_architectures]
        known = SourceDevices(table[protocol.architecture].tolist(), latency_ms, rows=rows, seed=seed)
        for place, target in enumerate(protocol.targets):
            own = devices.index(target)
            transfer = DeviceTransfer(known, devices=np.delete(np.arange(len(devices)), own), seed=seed)
            # They are chosen one by one, so that fewer are the first of more.
            in_turn = transfer.choose(max(protocol.sizes))
            for size, count in enumerate(protocol.sizes):
                chosen = in_turn[:count]
                predicted_ms = transfer.predict(chosen, latency_ms[chosen, own])
                rest = np.delete(np.arange(len(table)), chosen)
                scores[size, place, seed] = _score(protocol.score, predicted_ms[rest], latency_ms[rest, own])
    for size, count in enumerate(protocol.sizes):
        each = scores[size].mean(axis=0)
        yield {
            "protocol": protocol.name,
            "k": count,
            "score": protocol.score,
            "mean": float(each.mean()),
            "half_width": float(1.96 * each.std(ddof=1) / np.sqrt(seeds)) if seeds > 1 else float("nan"),
            "n": int(scores[size].size),
            "reach": REACH[protocol.name].get(count),
            "by_target": dict(zip(protocol.targets, scores[size].mean(axis=1).tolist(), strict=True)),
        }


def _score(score: str, predicted_ms: npt.NDArray[np.float64], truth_ms: npt.NDArray[np.float64]) -> float:
    if score == "spearman":
        return float(spearmanr(predicted_ms, truth_ms).statistic)
    return float(100.0 * np.abs(predicted_ms / truth_ms - 1.0).mean())


if __name__ == "__main__":
    sys.exit(main())
