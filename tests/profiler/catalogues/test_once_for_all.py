"""Once-for-all's lookup tables: keys become blocks, latencies keep their counts, bad files are refused whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiler.catalogues import LabelledNetwork, OnceForAllBlock, labelled_table, read_once_for_all
from profiler.errors import ArchitectureTextError, ConfigError, TableError
from tests.profiler.catalogues._phone_data import PHONE_DATA, needs_phone_data

BLOCK = "expanded_conv-input:14x14x96-output:14x14x136-expand:288-kernel:5-stride:1-idskip:0-se:1-hs:1"
KEPT = "expanded_conv-input:80x80x24-output:80x80x24-expand:24-kernel:3-stride:1-idskip:1-se:0-hs:0"
TEXT = f"""\
Conv-input:160x160x3-output:80x80x24:
  count: 498
  mean: 0.495562248995984
  std: 0.010239557348882489
{KEPT}:
  count: 100
  mean: 0.4
  std: 0.0
"""


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "table.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_block_has_the_work_of_its_key() -> None:
    network = OnceForAllBlock.parse(BLOCK).to_network()
    cells = 14 * 14
    squeeze = 2 * 288 * 72
    assert network.cost().macs == cells * 288 * (96 + 25 + 136) + squeeze
    kinds = [operator.kind for operator in network.operators]
    assert kinds.count("hard_swish") == 2
    assert kinds.count("add") == 0


def test_a_block_that_expands_nothing_has_no_first_convolution() -> None:
    network = OnceForAllBlock.parse(KEPT).to_network()
    assert [operator.kind for operator in network.operators] == ["depthwise_conv2d", "relu", "conv2d", "add"]


@pytest.mark.parametrize(
    ("key", "macs"),
    [
        ("Conv-input:224x224x3-output:112x112x24", 112 * 112 * 24 * 27),
        ("Conv_1-input:7x7x192-output:7x7x1152", 49 * 192 * 1152),
        ("AvgPool2D-input:7x7x1152-output:1x1x1152", 0),
        ("Conv_2-input:1x1x1152-output:1x1x1536", 1152 * 1536),
        ("Logits-input:1x1x1536-output:1000", 1536 * 1000),
    ],
)
def test_blocks_outside_of_the_cells(key: str, macs: int) -> None:
    assert OnceForAllBlock.parse(key).to_network().cost().macs == macs


@pytest.mark.parametrize(
    "key",
    [
        "",
        "Conv-input:224x224x3",
        "Deconv-input:8x8x3-output:8x8x3",
        "Conv-input:0x8x3-output:4x4x8",
        "Conv-input:224x224x3-output:100x100x24",
        "Conv-input:224x224x3-output:112x112x24-kernel:3",
        BLOCK.replace("-se:1", ""),
        BLOCK.replace("expand:288-kernel:5", "kernel:5-expand:288"),
        BLOCK.replace("idskip:0", "idskip:1"),
        BLOCK.replace("kernel:5", "kernel:0"),
        BLOCK + "\n",
    ],
)
def test_other_keys_are_no_block(key: str) -> None:
    with pytest.raises(ArchitectureTextError):
        OnceForAllBlock.parse(key)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_table_is_read_with_what_is_known_of_each_latency(tmp_path: Path, mark: bytes) -> None:
    stem, block = read_once_for_all(written(tmp_path, mark + TEXT.encode()))
    assert (stem.latency_ms, stem.std_ms, stem.runs) == (0.495562248995984, 0.010239557348882489, 498)
    assert block.name == KEPT
    table = labelled_table([stem, block], device="note10", runtime="litert")
    assert table.frame["n_samples"].tolist() == [498, 100]
    assert table.frame["verdict"].tolist() == ["SEMI_VALID"] * 2
    low, high = table.frame.loc[0, ["low_ms", "high_ms"]]
    assert low < 0.4956 < high < 0.497


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (TEXT.replace("Conv-input:160", "Conv-input:161x"), ":1: .*is no key"),
        (TEXT.replace("  std: 0.0\n", ""), f":5: .*{KEPT[:30]}.*mean, std and count"),
        (TEXT.replace("mean: 0.4\n", "mean_us: 400\n"), "mean, std and count, in ms"),
        (TEXT.replace("mean: 0.4\n", "mean: 0.4 ms\n"), "not a finite number"),
        (TEXT.replace("mean: 0.4\n", "mean: .nan\n"), "not a finite number"),
        (TEXT.replace("mean: 0.4\n", "mean: -.inf\n"), "not a finite number"),
        (TEXT.replace("mean: 0.4\n", "mean: 0\n"), "not above 0 ms"),
        (TEXT.replace("std: 0.0", "std: -1.0"), "below 0 ms"),
        (TEXT.replace("count: 100", "count: 0"), "no number of runs"),
        (TEXT.replace("count: 100", "count: 1.5"), "no number of runs"),
    ],
)
def test_a_wrong_entry_is_named_by_line_and_key(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(TableError, match=problem):
        read_once_for_all(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must hold keys"),
        ("- 1\n- 2\n", "must hold keys"),
        (TEXT + TEXT, "repeated key"),
        (f"{KEPT}: !!python/object/apply:os.system ['touch canary']\n", "tag"),
        ("a: &a [1, 1]\nb: &b [*a, *a]\nc: [*b, *b]\n", "anchors and aliases"),
        ("a: {" * 1_000, "nested deeper"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (TEXT + "#" * 200_000, "larger than"),
    ],
)
def test_files_that_are_no_plain_table_are_refused(
    tmp_path: Path, text: str | bytes, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path, text)
    with pytest.raises(ConfigError, match=problem):
        read_once_for_all(file)
    assert list(tmp_path.iterdir()) == [file], "nothing was run: a command in the file would have left a canary"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_once_for_all(tmp_path / "absent.yaml")


@needs_phone_data
def test_every_published_table_is_read() -> None:
    files = sorted((PHONE_DATA / "once-for-all").glob("*.yaml"))
    assert len(files) == 17
    for file in files:
        rows = read_once_for_all(file)
        assert len(rows) == len({row.name for row in rows}) == 96
        assert len({row.network.key for row in rows}) == 96
        assert all(isinstance(row, LabelledNetwork) and row.runs and row.runs >= 1 for row in rows)
        resolution = int(file.name.split("_")[0])
        stem = next(row for row in rows if row.name.startswith("Conv-"))
        assert stem.network.cost().macs == (resolution // 2) ** 2 * 24 * 27
