"""How often networks that a chance constraint allows keep their budget on the device, before and after verification.

    python bench/constraint_replay.py [--alpha 0.05] [--labels 400] [--candidates 1500] [--data FOLDER] [--json]

For each device with published latencies, a predictor learns from some of its networks. Of others, those that keep to
LatencyBudget(budget, alpha) may be chosen; a search wants accuracy, which grows with work, so the ones of most
multiply-accumulates are: where predictions are too low, this finds it. So a part of the labels is left out first, and
the predicted intervals are widened until choices among these labels keep their budgets as often as they shall; then
the predictor learns from all of them. Budgets are the 5, 10, ... 95 % quantiles of the
candidates' latencies. Before verification a choice counts as it is; after it, what is above the budget when measured
is replaced by the next. Shares stand with their 95 % interval (Wilson). The last line is JSON.
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
from phone_networks import operator_lists, read_graphs
from published_data import add_data_option, exit_code_of, require_data

from pocketnas._binomial import accuracy_interval
from predictor.operator_lists import NetworkLatencies, OperatorLists, WholeNetworkPredictor
from profiler.network import Add, AvgPool2d, Conv2d, Dense, GlobalAvgPool2d, Network, Relu
from search.assessment import LatencyInterval
from search.constraints import LatencyBudget
from search.errors import SearchError
from search.spaces.nasbench201 import NasBench201Genotype, NasBench201Params, NasBench201Space

_PHONES = ("essential_ph_1", "pixel3", "samsung_a50", "samsung_s7")
_CELLS = "nasbench201"
BUDGET_QUANTILES = np.arange(0.05, 0.96, 0.05)
_CHOSEN = 8
"""Networks that are chosen for each budget."""

_LEARNED_SHARE = 0.5
"""Of the labels, while the others tell how far choices can be trusted."""

_WIDENINGS = tuple(float(width) for width in np.arange(1.0, 6.01, 0.1).round(1))

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DeviceNetworks:
    """Networks with a measured latency on one device.

    Attributes:
        device: The device.
        networks: As operator lists. Length n.
        families: Of each. Length n.
        macs: Multiply-accumulates of each. Shape: (n,).
        latency_ms: Measured. Shape: (n,).
    """

    device: str
    networks: OperatorLists
    families: Sequence[str]
    macs: Floats
    latency_ms: Floats


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay the constraint on all devices; return 0, or the error's exit code."""
    options = _parser().parse_args(arguments)
    return exit_code_of(lambda: _replay(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--alpha", type=float, default=0.05, help="how likely a budget may be exceeded")
    parser.add_argument("--labels", type=int, default=400, help="networks of a device that the predictor learns from")
    parser.add_argument("--candidates", type=int, default=1500, help="other networks that may be chosen")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn")
    add_data_option(parser)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    return parser


def _replay(options: argparse.Namespace) -> None:
    require_data(options.data)
    if min(options.labels, options.candidates) < _CHOSEN:
        raise SearchError(f"--labels and --candidates are at least {_CHOSEN}")
    if not options.json:
        print(
            f"{'device':<15} {'before':>7} {'95 % interval':>15} {'after':>7} {'n':>5} {'measured':>8} {'budgets':>7}"
        )
    results = []
    for device in _devices(options.data, options.labels + options.candidates, options.seed):
        results.append({"device": device.device, **_on(device, options)})
        if not options.json:
            print(_line(results[-1]), flush=True)
    total = {"device": "all", **_shares([result["counts"] for result in results])}
    if not options.json:
        print(_line(total))
    print(json.dumps({"bench": "constraint_replay", "alpha": options.alpha, "results": [*results, total]}))


def _on(device: DeviceNetworks, options: argparse.Namespace) -> dict[str, Any]:
    """Learn from a device's first networks, and choose among the others under each budget."""
    learned, rest = np.arange(options.labels), np.arange(options.labels, len(device.latency_ms))
    some, left_out = np.split(learned, [round(_LEARNED_SHARE * len(learned))])
    trial = _Choices(device, left_out, _predicted(device, some, left_out, options.seed), options.alpha)
    widening = next((width for width in _WIDENINGS if trial.kept_share(width) >= 1 - options.alpha), _WIDENINGS[-1])
    choices = _Choices(device, rest, _predicted(device, learned, rest, options.seed), options.alpha)
    counts = np.zeros(5, dtype=np.int64)
    for kept in choices.by_budget(widening):
        verified, measured = _verified(kept)
        first = kept[:_CHOSEN]
        counts += [len(first), sum(first), len(verified), sum(verified), measured]
    return _shares([counts.tolist()]) | {
        "budgets": len(BUDGET_QUANTILES),
        "labels": len(learned),
        "candidates": len(rest),
        "widening": widening,
        "before_without_widening": choices.kept_share(1.0),
        "below_upper_end": float(np.mean(choices.latency_ms <= choices.told.high_ms)),
    }


def _predicted(device: DeviceNetworks, learned: Rows, asked: Rows, seed: int) -> NetworkLatencies:
    families = np.asarray(device.families)
    predictor = WholeNetworkPredictor(seed=seed).fit(
        device.networks.selected(learned),
        [device.device] * len(learned),
        families[learned].tolist(),
        device.latency_ms[learned],
    )
    return predictor.predict(device.networks.selected(asked), [device.device] * len(asked), families[asked].tolist())


class _Choices:
    """What is chosen among some networks of a device, and whether it keeps its budget."""

    def __init__(self, device: DeviceNetworks, rows: Rows, told: NetworkLatencies, alpha: float) -> None:
        self.told, self.latency_ms, self._alpha = told, device.latency_ms[rows], alpha
        self._most_work = np.argsort(-device.macs[rows], kind="stable")
        self._budgets_ms = np.quantile(self.latency_ms, BUDGET_QUANTILES).tolist()

    def by_budget(self, widening: float) -> Iterator[list[bool]]:
        """Yield for each budget whether what is allowed keeps to it, in order of preference.

        Args:
            widening: Power of the ratio between the upper end of an interval and its middle.
        """
        high_ms = self.told.latency_ms * (self.told.high_ms / self.told.latency_ms) ** widening
        columns = (self.told.latency_ms, self.told.low_ms, high_ms, self.told.in_domain)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        intervals = [LatencyInterval.of(*row) for row in rows]
        for budget_ms in self._budgets_ms:
            constraint = LatencyBudget(budget_ms, self._alpha)
            held_ms = np.array([constraint.latency_ms(interval) for interval in intervals])
            allowed = self._most_work[held_ms[self._most_work] <= budget_ms]
            yield (self.latency_ms[allowed] <= budget_ms).tolist()

    def kept_share(self, widening: float) -> float:
        """Return the share of what is chosen that keeps its budget; 1 where nothing is."""
        chosen = [one for kept in self.by_budget(widening) for one in kept[:_CHOSEN]]
        return float(np.mean(chosen)) if chosen else 1.0


def _verified(kept: Sequence[bool]) -> tuple[list[bool], int]:
    """Return the choice without what was above the budget when measured, and how many were measured."""
    chosen: list[bool] = []
    for measured, one in enumerate(kept):
        if len(chosen) == _CHOSEN:
            return chosen, measured
        chosen += [one] if one else []
    return chosen, len(kept)


def _shares(counts: Sequence[Sequence[int]]) -> dict[str, Any]:
    chosen, kept, verified, verified_kept, measured = (int(total) for total in np.sum(counts, axis=0))
    before = kept / chosen if chosen else float("nan")
    return {
        "before": before,
        "before_interval": accuracy_interval(before, chosen) if chosen else None,
        "after": verified_kept / verified if verified else float("nan"),
        "n": chosen,
        "n_after": verified,
        "measured": measured,
        "counts": [chosen, kept, verified, verified_kept, measured],
    }


def _line(result: dict[str, Any]) -> str:
    low, high = result["before_interval"] or (float("nan"), float("nan"))
    return (
        f"{result['device']:<15} {100 * result['before']:6.2f}% {100 * low:6.2f} .. {100 * high:5.2f} "
        f"{100 * result['after']:6.2f}% {result['n']:>5} {result['measured']:>8} {result.get('budgets', ''):>7}"
    )


def _devices(folder: Path, count: int, seed: int) -> Iterator[DeviceNetworks]:
    """Yield random networks of each device."""
    rng = np.random.default_rng(seed)
    cells = pd.read_csv(folder / "help" / "nasbench201.csv.gz")
    cells = cells.iloc[rng.permutation(len(cells))]
    genotypes = [NasBench201Genotype.from_arch_str(cell) for cell in cells["arch_str"]]
    alive = [row for row, genotype in enumerate(genotypes) if genotype.alive][:count]
    space = NasBench201Space(NasBench201Params((32, 32, 3), 10))
    networks = [space.lower(genotypes[row]) for row in alive]
    lists = OperatorLists.of([rows_of(network) for network in networks])
    macs = np.array([network.cost().macs for network in networks], dtype=np.float64)
    for phone in _PHONES:
        latency_ms = cells[phone].to_numpy(dtype=np.float64)[alive]
        yield DeviceNetworks(phone, lists, [_CELLS] * len(alive), macs, latency_ms)
    rows = pd.read_csv(folder / "nn-meter" / "latency.csv.gz")
    graphs = read_graphs(folder / "nn-meter" / "graphs", rows["family"].tolist())
    for device, own in rows.groupby("device"):
        some = own.iloc[rng.permutation(len(own))[:count]]
        work = [
            sum(_macs(row) for row in graphs[family][model])
            for family, model in zip(some["family"], some["model"], strict=True)
        ]
        yield DeviceNetworks(
            str(device),
            operator_lists(graphs, some),
            some["family"].tolist(),
            np.array(work, dtype=np.float64),
            some["latency_ms"].to_numpy(dtype=np.float64),
        )


def _macs(row: Sequence[Any]) -> float:
    """Return the multiply-accumulates of a row of an operator list."""
    operator, _, _, channels, height, width, filters, window, _ = row
    if operator == "conv":
        return float(height * width * filters * channels * window**2)
    if operator == "dwconv":
        return float(height * width * filters * window**2)
    return float(channels * filters) if operator == "fc" else 0.0


def rows_of(network: Network) -> list[list[Any]]:
    """Return a network of NAS-Bench-201's operators as an operator list.

    Raises:
        SearchError: It has another operator.
    """
    rows: list[list[Any]] = []
    for operator in network.operators:
        before, after = network.tensors[operator.inputs[0]].shape, network.tensors[operator.outputs[0]].shape
        window, stride = 0, 1
        match operator:
            case Conv2d():
                word, window, stride = "conv", operator.kernel[0], operator.stride[0]
            case AvgPool2d():
                word, window, stride = "avgpool", operator.kernel[0], operator.stride[0]
            case Relu():
                word, stride = "relu", 0
            case Add():
                word, stride = "add", 0
            case GlobalAvgPool2d():
                word = "gap"
            case Dense():
                word = "fc"
            case _:
                raise SearchError(f"{operator.name} is no operator of NAS-Bench-201")
        height, width = before[1:3] if len(before) == 4 else (1, 1)
        out_height, out_width = after[1:3] if len(after) == 4 else (1, 1)
        rows.append([word, height, width, before[-1], out_height, out_width, after[-1], window, stride])
    return rows


if __name__ == "__main__":
    sys.exit(main())
