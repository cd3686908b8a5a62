"""A new device from others: a law that is known is found from few rows, and what is not known is not made up."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predictor import NetworkPredictor, Transfer
from predictor._features import FloatArray
from predictor._files import read_predictor_file, write_predictor_file
from predictor._transferred import TransferredCosts
from predictor.errors import MixedRowsError, PredictorFileError, SourceMismatchError, TrainingRowsError
from profiler.kernels import FUSION_RULES, FusionRules, Kernel, fuse, random_kernels
from profiler.network import Network
from profiler.workload import Workload
from tests.predictor._synthetic import (
    CALL_MS,
    KINDS,
    law_table,
    network_rows,
    noisy,
    records,
    row,
    some_networks,
    table_of_rows,
    true_ms,
)

FACTORS = {"conv2d": 2.0, "depthwise_conv2d": 3.0}
FAR_CALL_MS = 0.004
NEW: dict[str, object] = {"device": "far", "processor": "far away"}


def far_ms(kernel: Kernel, call_ms: float = FAR_CALL_MS) -> float:
    """The new device: calls four times, convolutions twice and depthwise ones three times as long."""
    return call_ms + FACTORS.get(kernel.family, 1.0) * (true_ms(kernel) - CALL_MS)


def far_network_ms(network: Network) -> float:
    return FAR_CALL_MS + sum(far_ms(kernel, 0.0) for kernel in fuse(network, FUSION_RULES["litert"]))


def far_rows(workloads: Sequence[Workload], rng: np.random.Generator, noise: float = 0.005) -> list[dict[str, Any]]:
    found = []
    for work in workloads:
        true = far_network_ms(work.network) if work.kind == "network" else far_ms(Kernel(work.network))
        found.append(row(work.network, work.kind, true * float(np.exp(rng.normal(0, noise))), **NEW))
    return found


def workloads_of(kernels: Sequence[Kernel], networks: Sequence[Network]) -> list[Workload]:
    return [
        *(Workload(kernel.network, kind=kernel.kind) for kernel in kernels),
        *(Workload(network) for network in networks),
    ]


@pytest.fixture(scope="module")
def candidates() -> list[Workload]:
    rng = np.random.default_rng(1)
    networks = {network.key: network for network in some_networks(60, rng)}
    return workloads_of(random_kernels(80, rng, kinds=KINDS), list(networks.values())[:30])


@pytest.fixture(scope="module")
def transfer(network_predictor: NetworkPredictor) -> Transfer:
    return Transfer([network_predictor])


def learned(transfer: Transfer, candidates: Sequence[Workload], count: int, seed: int = 0) -> NetworkPredictor:
    chosen = transfer.choose(candidates, count)
    return transfer.fit(table_of_rows(far_rows([candidates[place] for place in chosen], np.random.default_rng(seed))))


@cache
def fresh() -> tuple[list[Network], FloatArray]:
    networks = some_networks(100, np.random.default_rng(60))
    return networks, np.array([far_network_ms(network) for network in networks])


def error_and_coverage(predictor: NetworkPredictor) -> tuple[float, float]:
    """Mean relative error, and the share of intervals that cover, on networks that nobody chose."""
    networks, truth = fresh()
    found = predictor.predict_many(networks)
    errors = [abs(one.latency_ms / ms - 1) for one, ms in zip(found, truth, strict=True)]
    covered = [one.low_ms <= ms <= one.high_ms for one, ms in zip(found, truth, strict=True)]
    return float(np.mean(errors)), float(np.mean(covered))


@pytest.mark.parametrize(("count", "most"), [(5, 0.08), (10, 0.05), (20, 0.03), (50, 0.025)])
def test_networks_of_the_new_device_are_predicted_and_covered(
    transfer: Transfer, candidates: list[Workload], count: int, most: float
) -> None:
    predictor = learned(transfer, candidates, count)
    error, covered = error_and_coverage(predictor)
    assert error < most
    assert 0.8 <= covered <= 1.0
    assert predictor.card.stands_on == ("bench",) and predictor.device == "far"
    assert predictor.card.kernel_rows + predictor.card.network_rows == count


def test_the_stated_error_holds(transfer: Transfer, candidates: list[Workload]) -> None:
    predictor = learned(transfer, candidates, 20)
    stated = predictor.card.networks.mape_percent
    assert stated is not None
    assert 100 * error_and_coverage(predictor)[0] <= 1.5 * stated


def test_factors_of_families_are_found(
    transfer: Transfer, candidates: list[Workload], network_predictor: NetworkPredictor
) -> None:
    costs, source = learned(transfer, candidates, 20).costs, network_predictor.costs
    kernels = random_kernels(60, np.random.default_rng(3), kinds=KINDS)
    large = [kernel for kernel in kernels if true_ms(kernel) > 20 * CALL_MS]
    ratio = costs.estimate(large).latency_ms / source.estimate(large).latency_ms
    for family, factor in FACTORS.items():
        own = [kernel.family == family for kernel in large]
        assert np.median(ratio[own]) == pytest.approx(factor, rel=0.15)


def test_choice_is_better_than_chance(transfer: Transfer, candidates: list[Workload]) -> None:
    rng = np.random.default_rng(4)
    chosen, _ = error_and_coverage(learned(transfer, candidates, 8))
    drawn = []
    for _ in range(4):
        places = rng.choice(len(candidates), 8, replace=False)
        drawn.append(
            error_and_coverage(transfer.fit(table_of_rows(far_rows([candidates[place] for place in places], rng))))[0]
        )
    assert chosen < np.mean(drawn)


def test_choice_is_stable_and_leaves_out_what_is_measured_or_cannot_be(
    transfer: Transfer, candidates: list[Workload]
) -> None:
    first = transfer.choose(candidates, 12)
    assert first == transfer.choose(candidates, 12) and len(set(first)) == 12
    assert transfer.choose(candidates, 4) == first[:4]
    rest = transfer.choose(candidates, 8, measured=first[:4])
    assert rest == first[4:]
    replaced = transfer.choose(candidates, 5, measured=first[:4], excluded=first[4:6])
    assert not set(replaced) & set(first[:6])
    kinds = [candidates[place].kind == "network" for place in first]
    assert 6 <= sum(kinds) < 12


def test_choice_ends_with_the_candidates_and_with_what_sources_know(
    transfer: Transfer, candidates: list[Workload]
) -> None:
    strange = random_kernels(4, np.random.default_rng(5), kinds=("channel_shuffle",))
    few = [*candidates[:3], *workloads_of(strange, [])]
    assert sorted(transfer.choose(few, 50)) == [0, 1, 2]
    assert transfer.choose([], 5) == () and transfer.choose(candidates, 0) == ()
    kernels = [one for one in candidates if one.kind != "network"]
    assert len(transfer.choose(kernels, 10)) == 10


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_rows_than_factors_stand_on_the_prior_and_say_so(
    transfer: Transfer, candidates: list[Workload], count: int
) -> None:
    predictor = learned(transfer, candidates, count)
    assert any("fewer than the" in remark and "assumed" in remark for remark in predictor.card.remarks)
    wide = predictor.predict(some_networks(1, np.random.default_rng(6))[0])
    narrow = learned(transfer, candidates, 50).predict(some_networks(1, np.random.default_rng(6))[0])
    assert wide.high_ms / wide.low_ms > narrow.high_ms / narrow.low_ms
    assert error_and_coverage(predictor)[1] >= 0.8


def test_kernels_alone_or_networks_alone_will_do(transfer: Transfer, candidates: list[Workload]) -> None:
    kernels = [one for one in candidates if one.kind != "network"]
    networks = [one for one in candidates if one.kind == "network"]
    from_kernels, from_networks = learned(transfer, kernels, 20), learned(transfer, networks, 20)
    assert from_kernels.card.learned_from == "kernels" and from_networks.card.learned_from == "networks"
    assert error_and_coverage(from_kernels)[0] < 0.06 and error_and_coverage(from_networks)[0] < 0.04
    assert any("no whole network" in remark for remark in from_kernels.card.remarks)
    assert min(error_and_coverage(one)[1] for one in (from_kernels, from_networks)) >= 0.8


def test_a_source_of_networks_only_is_stood_on(candidates: list[Workload]) -> None:
    rng = np.random.default_rng(7)
    source = NetworkPredictor().fit(table_of_rows(network_rows(some_networks(60, rng), rng)))
    networks = [one for one in candidates if one.kind == "network"]
    error, covered = error_and_coverage(learned(Transfer([source]), networks, 20))
    assert error < 0.06 and covered >= 0.8


def test_two_sources_span_what_a_new_device_may_be(
    network_predictor: NetworkPredictor, candidates: list[Workload]
) -> None:
    """Beyond the second source as far as that is beyond the first: few rows show it."""
    rng = np.random.default_rng(8)
    kernels, networks = random_kernels(150, rng, kinds=KINDS), some_networks(25, rng)
    between = {"conv2d": 2.0**0.5, "depthwise_conv2d": 3.0**0.5}

    def between_ms(kernel: Kernel) -> float:
        return float(CALL_MS + between.get(kernel.family, 1.0) * (true_ms(kernel) - CALL_MS))

    rows = [row(one.network, one.kind, noisy(between_ms(one), rng), device="between") for one in kernels]
    for network in networks:
        parts = fuse(network, FUSION_RULES["litert"])
        total = CALL_MS + sum(between_ms(kernel) - CALL_MS for kernel in parts)
        rows.append(row(network, "network", noisy(total, rng), device="between"))
    second = NetworkPredictor().fit(table_of_rows(rows))
    both = Transfer([network_predictor, second])
    predictor = learned(both, candidates, 6)
    assert predictor.card.stands_on == ("bench", "between")
    assert (
        error_and_coverage(predictor)[0] < error_and_coverage(learned(Transfer([network_predictor]), candidates, 6))[0]
    )


def test_a_row_that_is_far_off_does_not_lead(transfer: Transfer, candidates: list[Workload]) -> None:
    rows = far_rows([candidates[place] for place in transfer.choose(candidates, 20)], np.random.default_rng(0))
    rows[5] |= {name: rows[5][name] * 1.6 for name in ("median_ms", "low_ms", "high_ms", "p90_ms")}
    assert error_and_coverage(transfer.fit(table_of_rows(rows)))[0] < 0.05


def test_files_keep_all_of_it(transfer: Transfer, candidates: list[Workload], tmp_path: Path) -> None:
    predictor = learned(transfer, candidates, 12)
    path = tmp_path / "far.safetensors"
    predictor.save(path)
    read = NetworkPredictor.load(path)
    networks = some_networks(5, np.random.default_rng(9))
    assert read.card == predictor.card and isinstance(read.costs, TransferredCosts)
    for left, right in zip(read.predict_many(networks), predictor.predict_many(networks), strict=True):
        assert (left.low_ms, left.latency_ms, left.high_ms) == pytest.approx(
            (right.low_ms, right.latency_ms, right.high_ms), rel=1e-9
        )
    again = tmp_path / "again.safetensors"
    learned(transfer, candidates, 12).save(again)
    assert again.read_bytes() == path.read_bytes()


def test_what_was_transferred_can_be_stood_on(transfer: Transfer, candidates: list[Workload], tmp_path: Path) -> None:
    path = tmp_path / "second.safetensors"
    second = Transfer([learned(transfer, candidates, 20)])
    rows = [cells | {"device": "third"} for cells in far_rows(candidates[-6:], np.random.default_rng(2))]
    second.fit(table_of_rows(rows)).save(path)
    read = NetworkPredictor.load(path)
    assert read.card.stands_on == ("far",)
    assert error_and_coverage(read)[0] < 0.05


@pytest.mark.parametrize("damage", ["term_costs", "factors/weights", "source-0/pooled_costs", "doubts-0"])
def test_a_damaged_file_is_refused(transfer: Transfer, candidates: list[Workload], damage: str, tmp_path: Path) -> None:
    path = tmp_path / "far.safetensors"
    learned(transfer, candidates, 4).save(path)
    document, arrays = read_predictor_file(path)
    name = next(name for name in arrays if name.endswith(damage))
    write_predictor_file(path, document, {**arrays, name: np.zeros((7, *arrays[name].shape[1:]))})
    with pytest.raises(PredictorFileError, match="damaged"):
        NetworkPredictor.load(path)


def test_a_file_without_its_source_is_refused(transfer: Transfer, candidates: list[Workload], tmp_path: Path) -> None:
    path = tmp_path / "far.safetensors"
    learned(transfer, candidates, 4).save(path)
    document, arrays = read_predictor_file(path)
    document["costs"]["sources"] = []
    write_predictor_file(path, document, arrays)
    with pytest.raises(PredictorFileError, match="sources"):
        NetworkPredictor.load(path)


@pytest.mark.parametrize(
    ("column", "value"), [("source", "emulated"), ("runtime", "onnxruntime"), ("threads", 4), ("dtype", "int8")]
)
def test_devices_that_differ_are_not_mixed(
    network_predictor: NetworkPredictor, column: str, value: object, candidates: list[Workload]
) -> None:
    other = [cells | {"device": "other", column: value} for cells in records(law_table(40))]
    with pytest.raises(SourceMismatchError, match=column):
        Transfer([network_predictor, NetworkPredictor().fit(table_of_rows(other))])
    rows = [cells | {column: value} for cells in far_rows(candidates[:4], np.random.default_rng(0))]
    with pytest.raises(SourceMismatchError, match=column):
        Transfer([network_predictor]).fit(table_of_rows(rows))


def test_there_must_be_sources_each_once(network_predictor: NetworkPredictor) -> None:
    with pytest.raises(SourceMismatchError, match="no device"):
        Transfer([])
    with pytest.raises(SourceMismatchError, match="twice"):
        Transfer([network_predictor, network_predictor])


def test_rows_that_cannot_be_learned_from_are_said(transfer: Transfer, candidates: list[Workload]) -> None:
    rows = far_rows(candidates[:4], np.random.default_rng(0))
    invalid = [cells | {"verdict": "INVALID"} for cells in rows]
    with pytest.raises(TrainingRowsError, match="none of 4 rows"):
        transfer.fit(table_of_rows(invalid))
    with pytest.raises(MixedRowsError):
        transfer.fit(table_of_rows([*rows[:2], *(cells | {"processor": "another"} for cells in rows[2:])]))
    mostly = transfer.fit(table_of_rows([*rows[:1], *invalid[1:]]))
    assert mostly.card.refused_rows == 3


def test_rules_found_on_the_new_device_are_gone_by(
    network_predictor: NetworkPredictor, candidates: list[Workload]
) -> None:
    rules = FusionRules(frozenset())
    predictor = learned(Transfer([network_predictor], rules=rules), candidates[:40], 6)
    assert predictor.fusion == rules and predictor.card.fusion.how == "evidence"
