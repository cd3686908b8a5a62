"""The scores of bench/search_replay.py on a table small enough to do by hand."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.bench_modules import bench_module

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
ROWS = "".join(
    f"|none~0|+|none~0|none~1|+|{operation}~0|none~1|none~2|,{accuracy},{latency_ms}\n"
    for operation, accuracy, latency_ms in zip(OPERATIONS, (10, 60, 90, 80), (0, 2, 6, 10), strict=True)
)


@pytest.fixture(scope="module")
def replay() -> ModuleType:
    return bench_module("replay_table")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("arch_str,accuracy,phone\n" + ROWS)
    return path


def test_share_of_the_hypervolume(replay: ModuleType, path: Path) -> None:
    table = replay.read_table(path, "phone")
    # The exact front: 10 % from 0 ms on, 60 from 2 and 90 from 6, to the slowest at 10.
    exact = 2 * 0.1 + 4 * 0.6 + 4 * 0.9
    assert table.share(range(4)) == 1
    assert table.share([1]) == pytest.approx(8 * 0.6 / exact)
    assert table.share([3, 2]) == pytest.approx(4 * 0.9 / exact)
    assert table.share([3]) == 0


def test_regret_is_the_mean_over_budgets(replay: ModuleType, path: Path) -> None:
    table = replay.read_table(path, "phone")
    assert table.budgets_ms == pytest.approx([0.6, 1.5, 4.0])
    assert table.regret(range(4)) == 0
    assert table.regret([0]) == pytest.approx((0 + 0 + 50) / 3)
    # Nothing within the first two budgets: the worst accuracy stands for it, which is the best there.
    assert table.regret([1]) == 0
    assert table.regret([2]) == pytest.approx(50 / 3)


def test_percent_and_shares_are_the_same_table(replay: ModuleType, path: Path, tmp_path: Path) -> None:
    shares = tmp_path / "shares.csv"
    rows = [row.split(",") for row in ROWS.splitlines()]
    lines = [f"{cell},{float(accuracy) / 100},{latency}" for cell, accuracy, latency in rows]
    shares.write_text(
        "\n".join(["arch_str,accuracy,phone", *lines, f"{rows[0][0].replace('none', 'avg_pool_3x3')},,3"])
    )
    one, other = replay.read_table(path, "phone"), replay.read_table(shares, "phone")
    assert one.accuracy == pytest.approx(other.accuracy)
    assert "in percent" in one.origin
    assert "in shares; 1 rows without numbers left out" in other.origin


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("arch_str,phone\n", "lacks accuracy"),
        ("arch_str,accuracy,phone\n", "no row"),
        ("arch_str,accuracy,phone\nx,0.1,1\n", "nodes"),
        ("arch_str,accuracy,phone\n" + ROWS + ROWS, "twice"),
        ("arch_str,accuracy,phone\n" + ROWS.replace(",0\n", ",-1\n"), "latencies"),
        ("", "no CSV"),
    ],
)
def test_what_is_no_table_is_refused(replay: ModuleType, tmp_path: Path, text: str, problem: str) -> None:
    from search.errors import SearchError

    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(SearchError, match=problem):
        replay.read_table(path, "phone")


def test_an_absent_table_is_said_to_be(replay: ModuleType, tmp_path: Path) -> None:
    from search.errors import SearchError

    with pytest.raises(SearchError, match="absent"):
        replay.built_table(tmp_path, "pixel3")
