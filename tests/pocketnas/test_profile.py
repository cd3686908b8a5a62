"""`pocketnas profile`: which protocol it measures by, and that all of it can be asked for."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import get_args

import pytest

from pocketnas.cli import run
from pocketnas.cli.profile import SUPPRESSIBLE, ProtocolName, protocol_of
from profiler.errors import ConfigError
from profiler.measure import PROTOCOLS, CampaignRecord
from profiler.network import Network
from profiler.store import Store
from tests._source import ROOT


def test_names_are_the_protocols() -> None:
    assert get_args(ProtocolName) == tuple(PROTOCOLS)


def test_suppressible_are_all_checks_that_backends_make() -> None:
    made = set()
    for path in (ROOT / "profiler").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Check":
                firm = len(node.args) > 2 or any(keyword.arg == "suppressible" for keyword in node.keywords)
                if node.args and isinstance(node.args[0], ast.Constant) and not firm:
                    made.add(node.args[0].value)
    assert made == set(SUPPRESSIBLE)


@pytest.mark.parametrize("name", get_args(ProtocolName))
def test_a_protocol_keeps_its_own_values_unless_others_are_given(name: ProtocolName) -> None:
    assert protocol_of(name) == PROTOCOLS[name]
    other = protocol_of(name, rounds=7, runs_per_block=3, time_budget_s=2.5, suppress=("LOAD", "GOVERNOR"))
    assert (other.rounds, other.runs_per_block, other.time_budget_s) == (7, 3, 2.5)
    assert other.suppress == ("GOVERNOR", "LOAD")
    assert (other.max_rounds, other.least_seconds) == (PROTOCOLS[name].max_rounds, PROTOCOLS[name].least_seconds)


@pytest.mark.parametrize("id_", ["EMULATED", "load", "NOISE", ""])
def test_what_cannot_be_suppressed_names_what_can(id_: str) -> None:
    with pytest.raises(ConfigError, match=", ".join(SUPPRESSIBLE)):
        protocol_of("kernels", suppress=("LOAD", id_))


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--suppress", "EMULATED"], "LOAD"),
        (["--suppress", "LOAD", "--suppress", "x\x1b[2J"], "NOT-PINNED"),
        (["--protocol", "slow"], "normal"),
        (["--time-budget-s", "nan"], "--time-budget-s"),
        (["--time-budget-s", "inf"], "--time-budget-s"),
        (["--time-budget-s", "0"], "--time-budget-s"),
        (["--protocol", "quick", "--max-rounds", "3"], "is 8, more than max_rounds, which is 3"),
        (["--rounds", "50"], "is 50, more than max_rounds, which is 48"),
        (["--runs", "0"], "at least 1"),
    ],
)
def test_bad_options_are_one_line_and_nothing_is_stored(
    option: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["profile", "--store", str(tmp_path / "a.db"), *option]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert said in err and err.strip().isprintable()
    assert not (tmp_path / "a.db").exists()


def test_options_reach_the_campaign(network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    campaign = _profiled(network, tmp_path, ["--protocol", "rapid", "--rounds", "6", "--max-rounds", "6"])
    assert campaign.protocol.name == "rapid"
    assert (campaign.protocol.rounds, campaign.protocol.max_rounds) == (6, 6)
    assert campaign.protocol.least_runs == PROTOCOLS["rapid"].least_runs
    assert (campaign.protocol.suppress, campaign.protocol.time_budget_s) == (("LOAD", "NOT-PINNED"), 0.2)
    assert json.loads(capsys.readouterr().out)["source"] == "measured"


@pytest.mark.parametrize(
    ("option", "name"), [([], "quick"), (["--kernels", "2"], "kernels"), (["--kernels", "0"], "quick")]
)
def test_files_measured_whole_go_by_the_quick_protocol(
    option: list[str], name: str, network: Network, tmp_path: Path
) -> None:
    assert _profiled(network, tmp_path, option).protocol.name == name


def _profiled(network: Network, folder: Path, options: list[str]) -> CampaignRecord:
    """Measure a network for two tenths of a second, and return what the store says of the campaign."""
    path, store = folder / "small.json", folder / "a.db"
    path.write_text(network.to_json(), encoding="utf-8")
    arguments = ["profile", "--network", str(path), "--store", str(store), "--time-budget-s", "0.2", "--json"]
    assert run([*arguments, "--suppress", "NOT-PINNED", "--suppress", "LOAD", *options]) == 0
    with Store(store) as opened:
        (campaign,) = opened.campaigns()
    return campaign


@pytest.mark.parametrize(
    ("runtime", "said"),
    [
        ("agent-nccn", "error: runtime: host: unknown runtime 'agent-nccn'; did you mean 'agent-ncnn'?"),
        ("benchmark_model", "error: runtime: host: unknown runtime 'benchmark_model'"),
        ("x\x1b[2J", "error: runtime: host: unknown runtime"),
    ],
)
def test_a_runtime_that_a_device_cannot_have_is_refused(
    runtime: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["profile", "--runtime", runtime]) == 2
    error = capsys.readouterr().err
    assert error.startswith(said) and error.count("\n") == 1 and "\x1b" not in error
    assert list(tmp_path.iterdir()) == []


def test_the_runtime_asked_for_is_the_one_that_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--kernels", "1", "--networks", "0", "--rounds", "1", "--max-rounds", "1", "--runs", "1"]
    assert run(["profile", "--runtime", "onnxruntime", "--store", "rows.db", *words]) == 0
    with Store(tmp_path / "rows.db") as store:
        (campaign,) = store.campaigns()
    assert campaign.configuration.facts.runtime == "onnxruntime"
