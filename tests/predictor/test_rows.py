from typing import Any

import numpy as np
import pytest

from predictor import NetworkPredictor
from predictor._rows import training_rows
from predictor.errors import FunctionOnlyRowsError, MixedRowsError, TooFewRowsError, TrainingRowsError
from tests.predictor._synthetic import law_table, records, table_of_rows


def law_rows(networks: int = 0) -> list[dict[str, Any]]:
    return records(law_table(40, networks))


def test_an_empty_table_is_too_few() -> None:
    with pytest.raises(TooFewRowsError):
        training_rows(law_table(20).where(device="none"))


@pytest.mark.parametrize(
    ("column", "value"),
    [("device", "other"), ("source", "emulated"), ("runtime", "onnxruntime"), ("runtime_version", "9"),
     ("threads", 4), ("dtype", "int8"), ("processor", "other")],
)  # fmt: skip
def test_rows_of_two_origins_are_refused(column: str, value: object) -> None:
    rows = law_rows()
    rows[7] = rows[7] | {column: value}
    with pytest.raises(MixedRowsError) as caught:
        training_rows(table_of_rows(rows))
    assert caught.value.column == column
    assert str(value) in caught.value.values


def test_rows_of_emulated_instructions_teach_nothing() -> None:
    rows = [row | {"source": "emulated-isa"} for row in law_rows(12)]
    for few in (False, True):
        with pytest.raises(FunctionOnlyRowsError, match="times under qemu say nothing of a phone") as caught:
            training_rows(table_of_rows(rows), few=few)
        assert (caught.value.column, caught.value.source) == ("source", "emulated-isa")
    with pytest.raises(FunctionOnlyRowsError):
        NetworkPredictor().fit(table_of_rows(rows))


def test_invalid_rows_are_left_out_and_counted() -> None:
    rows = law_rows()
    invalid = {"median_ms": float("nan"), "low_ms": float("nan"), "high_ms": float("nan"), "p90_ms": float("nan")}
    rows[0] = rows[0] | invalid | {"verdict": "INVALID", "device": "whatever"}
    rows[1] = rows[1] | {"verdict": "SEMI_VALID"}
    learned = training_rows(table_of_rows(rows))
    assert (len(learned.kernels), learned.refused) == (39, 1)


def test_a_configuration_counts_once_with_its_median() -> None:
    rows = law_rows()
    repeated = [rows[0] | {"median_ms": ms, "low_ms": ms, "high_ms": ms} for ms in (1.9, 2.0, 2.1)]
    learned = training_rows(table_of_rows([*repeated, *rows[1:]]))
    assert len(learned.kernels) == 40
    index = [kernel.key for kernel in learned.kernels].index(rows[0]["key"])
    assert learned.kernel_ms[index] == 2.0


def test_the_order_of_rows_does_not_matter() -> None:
    rows = law_rows(networks=3)
    first = training_rows(table_of_rows(rows))
    second = training_rows(table_of_rows([rows[index] for index in np.random.default_rng(0).permutation(len(rows))]))
    assert first.digest == second.digest
    assert first.kernels == second.kernels
    assert [network.key for network in first.networks] == [network.key for network in second.networks]


def test_an_unreadable_configuration_is_named_by_its_row() -> None:
    rows = law_rows()
    rows[4] = rows[4] | {"config": "{}"}
    with pytest.raises(TrainingRowsError) as caught:
        training_rows(table_of_rows(rows))
    assert (caught.value.row, caught.value.column) == (5, "config")


def test_a_runtime_without_fusion_rules_is_refused() -> None:
    with pytest.raises(TrainingRowsError, match="fusion rules"):
        NetworkPredictor().fit(table_of_rows([record | {"runtime": "abacus"} for record in law_rows()]))
