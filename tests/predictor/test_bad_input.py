"""Bad input at the predictor: refused by name, never a made-up number.

The numbers in the ids are rows of the list of bad inputs that the project holds itself to.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from predictor import KernelPredictor, NetworkPredictor
from predictor._rows import LEAST_KERNEL_ROWS, LEAST_NETWORK_ROWS, training_rows
from predictor.errors import (
    ContradictoryRowsError,
    DeviceMismatchError,
    NewerSchemaError,
    OlderSchemaError,
    OutOfDomainError,
    PredictorFileError,
    TooFewRowsError,
    TrainingRowsError,
)
from profiler.kernels import Kernel, random_kernels
from profiler.network import Add, Network, Opaque, TensorSpec
from profiler.table import LatencyTable
from tests.predictor._synthetic import (
    kernel_rows,
    law_table,
    network_rows,
    noisy,
    records,
    row,
    some_networks,
    table_of_rows,
    true_ms,
    true_network_ms,
)
from tests.predictor.test_files import Bomb, forge, parts

Rows = list[dict[str, Any]]


def scaled(record: dict[str, Any], factor: float) -> dict[str, Any]:
    return record | {name: record[name] * factor for name in ("median_ms", "low_ms", "high_ms", "p90_ms")}


def network_table(count: int, seed: int = 0) -> LatencyTable:
    rng = np.random.default_rng(seed)
    return table_of_rows(network_rows(some_networks(count, rng), rng))


# Operators that nobody knows


@pytest.mark.parametrize("learned", ["kernels", "networks"], ids=["12 after kernels", "12 after networks"])
def test_an_unknown_operator_is_named_and_never_free(learned: str) -> None:
    table = law_table(60) if learned == "kernels" else network_table(20)
    predictor = NetworkPredictor().fit(table)
    opaque = Opaque("o", ("x",), "NMS", (TensorSpec("o", (1, 16, 16, 8)),))
    network = Network("n", [TensorSpec("x", (1, 16, 16, 8))], [opaque, Add("a", ("o", "x"))], ["a"])
    with pytest.raises(OutOfDomainError, match="NMS"):
        predictor.predict(network)
    bounded = predictor.predict(network, allow_unknown=True)
    assert not bounded.in_domain
    assert any("NMS" in description for description in bounded.out_of_domain)
    strange = next(share for share in bounded.kernels if share.kind == "opaque")
    assert strange.latency_ms > 0
    assert bounded.high_ms / bounded.low_ms > 2


# Files that are no predictors


@pytest.fixture(scope="module")
def of_networks() -> NetworkPredictor:
    return NetworkPredictor().fit(network_table(30))


def pickled(path: Path, _: NetworkPredictor) -> None:
    path.write_bytes(pickle.dumps(Bomb()))


def zip_bomb(path: Path, _: NetworkPredictor) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../canary", "boom")
        archive.writestr("zeros", b"\0" * 10_000_000)


def header_of_gigabytes(path: Path, _: NetworkPredictor) -> None:
    path.write_bytes((2**40).to_bytes(8, "little") + b"{" + b" " * 100)


def deep_json(path: Path, _: NetworkPredictor) -> None:
    path.write_bytes(save({"a": np.zeros(2)}, {"pocketnas_predictor": "[" * 50_000}))


def changed(
    change: Callable[[dict[str, Any], dict[str, np.ndarray]], None],
) -> Callable[[Path, NetworkPredictor], None]:
    def write(path: Path, predictor: NetworkPredictor) -> None:
        predictor.save(path)
        document, arrays = parts(path)
        arrays = {name: array.copy() for name, array in arrays.items()}
        change(document, arrays)
        forge(path, document, arrays)

    return write


def anchor_of_no_family(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    arrays["factors/anchor_families"][0] = 10**6


def negative_anchor(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    arrays["factors/anchor_families"][0] = -1


def weights_of_another_width(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    arrays["factors/weights"] = arrays["factors/weights"][:-1].copy()


def root_without_inverse(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    arrays["factors/root"][0, 0] = 0.0


def negative_price(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    arrays["base/prices"][0, 0] = -1.0


def domain_of_nothing(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    del arrays["base/conv2d/rows"]


def unknown_form(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    document["costs"]["form"] = "os.system"


def no_form(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    document["costs"] = {}


def endless_costs(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    costs = document["costs"]
    for _ in range(200):
        costs = costs | {"base": costs}
    document["costs"] = costs


def wrong_base(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    document["costs"]["base"] = document["costs"] | {"base": document["costs"]["base"]}


def endless_scale(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    document["composition"]["inflation"] = float("nan")


def chains_of_numbers(document: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    document["card"]["fusion"]["chains"] = [[1, 2]]


FILES = {
    "16 pickle": pickled,
    "17 zip with ../": zip_bomb,
    "17 header of a terabyte": header_of_gigabytes,
    "17 deep json": deep_json,
    "18 anchor of no family": changed(anchor_of_no_family),
    "18 negative anchor": changed(negative_anchor),
    "18 weights of another width": changed(weights_of_another_width),
    "18 root without inverse": changed(root_without_inverse),
    "18 negative price": changed(negative_price),
    "18 domain of nothing": changed(domain_of_nothing),
    "18 unknown form of costs": changed(unknown_form),
    "18 no form of costs": changed(no_form),
    "18 costs without end": changed(endless_costs),
    "18 factors on factors": changed(wrong_base),
    "18 inflation that is no number": changed(endless_scale),
    "18 chains of numbers": changed(chains_of_numbers),
}


@pytest.mark.parametrize("write", FILES.values(), ids=FILES)
def test_what_is_no_predictor_is_refused_and_nothing_is_written(
    write: Callable[[Path, NetworkPredictor], None],
    of_networks: NetworkPredictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "p.safetensors"
    write(path, of_networks)
    with pytest.raises(PredictorFileError, match=r"p\.safetensors"):
        NetworkPredictor.load(path)
    assert [file.name for file in tmp_path.iterdir()] == ["p.safetensors"]


@pytest.mark.parametrize(
    ("schema", "error", "said"),
    [(3, NewerSchemaError, "install pocketnas"), (1, OlderSchemaError, "fit again")],
    ids=["19 newer schema", "19 older schema"],
)
def test_other_schemas_are_named(
    schema: int, error: type[PredictorFileError], said: str, of_networks: NetworkPredictor, tmp_path: Path
) -> None:
    path = tmp_path / "p.safetensors"
    of_networks.save(path)
    document, arrays = parts(path)
    with pytest.raises(error, match=said) as caught:
        NetworkPredictor.load(
            forge(path, {"schema": schema, "written_by": "7.1.0"} | {"rest": json.dumps(document)}, arrays)
        )
    assert vars(caught.value)["found"] == schema


def test_20_a_predictor_of_another_device_needs_force_and_is_labelled(of_networks: NetworkPredictor) -> None:
    with pytest.raises(DeviceMismatchError, match="'bench', not 'pixel9'"):
        of_networks.check_device("pixel9")
    assert of_networks.check_device("pixel9", force=True) == "predicted for 'bench', not for 'pixel9'"


# Tables that teach nothing


@pytest.mark.parametrize("kind", ["kernels", "networks"], ids=["22 three kernels", "22 three networks"])
def test_three_rows_are_too_few(kind: str) -> None:
    table = law_table(3) if kind == "kernels" else network_table(3)
    with pytest.raises(TooFewRowsError, match=f"{LEAST_KERNEL_ROWS} different kernels") as caught:
        NetworkPredictor().fit(table)
    found = (caught.value.found, caught.value.networks)
    assert found == ((3, 0) if kind == "kernels" else (0, 3))
    assert caught.value.networks_needed == LEAST_NETWORK_ROWS


@pytest.mark.parametrize("kind", ["kernels", "networks"], ids=["22 constant kernels", "22 constant networks"])
def test_constant_latency_teaches_nothing(kind: str) -> None:
    table = law_table(40) if kind == "kernels" else network_table(20)
    same = {"median_ms": 2.0, "low_ms": 2.0, "high_ms": 2.0}
    with pytest.raises(TrainingRowsError, match="do not vary"):
        NetworkPredictor().fit(table_of_rows([record | same for record in records(table)]))


def test_22_the_least_that_will_do_has_intervals_that_say_so() -> None:
    networks = some_networks(LEAST_NETWORK_ROWS, np.random.default_rng(80))
    rng = np.random.default_rng(81)
    few = NetworkPredictor().fit(table_of_rows(network_rows(networks, rng)))
    many = NetworkPredictor().fit(network_table(80, seed=82))
    fresh = some_networks(30, rng)

    def widths(predictor: NetworkPredictor) -> float:
        found = predictor.predict_many(fresh, allow_unknown=True)
        return float(np.median([np.log(p.high_ms / p.low_ms) for p in found]))

    assert widths(few) > 1.2 * widths(many)
    assert any("rest on 10 measured networks" in remark for remark in few.card.remarks)
    covered = [p.low_ms <= true_network_ms(n) <= p.high_ms
               for p, n in zip(few.predict_many(fresh, allow_unknown=True), fresh, strict=True)]  # fmt: skip
    assert np.mean(covered) >= 0.8


def test_rows_that_are_invalid_are_never_learned() -> None:
    rng = np.random.default_rng(83)
    invalid = {"verdict": "INVALID", "median_ms": 1e6, "low_ms": 1e6, "high_ms": 1e6}
    sound = network_rows(some_networks(20, rng), rng)
    spoiled = [record | invalid for record in network_rows(some_networks(10, rng), rng)]
    predictor = NetworkPredictor().fit(table_of_rows([*sound, *spoiled]))
    assert (predictor.card.refused_rows, predictor.card.network_rows) == (10, len({record["key"] for record in sound}))
    with pytest.raises(TooFewRowsError):
        NetworkPredictor().fit(table_of_rows([record | invalid for record in sound]))


def test_kernels_cannot_be_learned_from_networks_alone_and_it_says_so() -> None:
    with pytest.raises(TooFewRowsError, match="0 usable kernel rows"):
        KernelPredictor().fit(network_table(20))


def test_a_table_of_one_kind_of_kernels_knows_nothing_else() -> None:
    kernels = random_kernels(40, np.random.default_rng(84), kinds=("conv2d",))
    predictor = NetworkPredictor().fit(table_of_rows(kernel_rows(kernels, np.random.default_rng(85))))
    network = some_networks(1, np.random.default_rng(86))[0]
    with pytest.raises(OutOfDomainError) as caught:
        predictor.predict(network)
    assert not any(kernel.startswith("conv2d") for kernel in caught.value.kernels)
    bounded = predictor.predict(network, allow_unknown=True)
    assert not bounded.in_domain
    assert all(share.latency_ms > 0 for share in bounded.kernels)
    assert any("no whole network" in remark for remark in predictor.card.remarks)


# Labels that contradict one another


def contradicting(factor: float) -> tuple[Kernel, Rows]:
    """A table in which one convolution has two labels, `factor` apart."""
    rows = records(law_table(60, seed=87))
    index = next(i for i, record in enumerate(rows) if record["kind"] == "conv2d")
    return Kernel(Network.from_json(rows[index]["config"])), [*rows, scaled(rows[index], factor)]


def test_contradictory_labels_are_told_and_widen_intervals_there() -> None:
    kernel, rows = contradicting(3.0)
    plain, doubtful = KernelPredictor().fit(table_of_rows(rows[:-1])), KernelPredictor().fit(table_of_rows(rows))
    assert any("contradict" in remark and kernel.describe() in remark for remark in doubtful.card.remarks)
    assert not any("contradict" in remark for remark in plain.card.remarks)

    def width(predictor: KernelPredictor, kernels: list[Kernel]) -> np.ndarray:
        found = predictor.predict(kernels)
        return np.log(found.high_ms / found.low_ms)

    assert width(doubtful, [kernel])[0] >= np.log(3.0)
    others = random_kernels(20, np.random.default_rng(88), kinds=("add",))
    np.testing.assert_allclose(width(doubtful, others), width(plain, others), rtol=0.2)


def test_the_doubt_survives_the_file(tmp_path: Path) -> None:
    kernel, rows = contradicting(3.0)
    predictor = NetworkPredictor().fit(table_of_rows(rows))
    predictor.save(tmp_path / "p.safetensors")
    again = NetworkPredictor.load(tmp_path / "p.safetensors").costs.estimate([kernel])
    assert again.whole_spread[0] == pytest.approx(float(predictor.costs.estimate([kernel]).whole_spread[0]))
    assert 2 * again.whole_spread[0] >= np.log(3.0)


@pytest.mark.parametrize("level", ["kernel", "network"])
def test_labels_absurdly_far_apart_are_refused_with_both_rows(level: str) -> None:
    rows = records(law_table(60, networks=12))
    index = next(i for i, record in enumerate(rows) if record["level"] == level)
    with pytest.raises(ContradictoryRowsError) as caught:
        training_rows(table_of_rows([*rows, scaled(rows[index], 1000.0)]))
    assert (caught.value.low[0], caught.value.row) == (index + 1, len(rows) + 1)
    assert "same configuration" in str(caught.value)


def test_networks_that_contradict_one_another_widen_all_intervals() -> None:
    rng = np.random.default_rng(89)
    networks = some_networks(30, rng)
    rows = [row(network, "network", noisy(true_network_ms(network), rng)) for network in networks]
    plain = NetworkPredictor().fit(table_of_rows(rows))
    twice = NetworkPredictor().fit(table_of_rows([*rows, *(scaled(record, 1.5) for record in rows)]))
    assert any("networks contradict" in remark for remark in twice.card.remarks)
    first, second = plain.predict(networks[0]), twice.predict(networks[0])
    assert second.high_ms / second.low_ms > max(1.4, first.high_ms / first.low_ms)


def test_labels_that_agree_are_one_row_and_no_remark() -> None:
    kernel, rows = contradicting(1.05)
    learned = training_rows(table_of_rows(rows))
    assert learned.remarks == ()
    assert not learned.kernel_doubts.any()
    index = [other.key for other in learned.kernels].index(kernel.key)
    assert learned.kernel_ms[index] == pytest.approx(true_ms(kernel), rel=0.15)
