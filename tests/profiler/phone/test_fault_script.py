"""Fault scripts: which fault happens when, and what a file may say."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from profiler.errors import ConfigError
from profiler.phone import EFFECTS, Fault, FaultKind, FaultScript, load_faults
from tests._source import ROOT

FOLDER = ROOT / "data" / "faults"


def test_of_two_that_fit_the_first_happens_until_it_is_spent() -> None:
    first, second = Fault("hang", match="ls", times=1), Fault("hang")
    script = FaultScript([first, second])
    assert script.take("hang", "shell:cat") is second
    assert script.take("hang", "shell:ls") is first
    assert script.take("hang", "shell:ls") is second
    assert script.take("cut_push", "shell:ls") is None
    script.clear()
    assert script.take("hang") is None


def test_some_occasions_go_well_before() -> None:
    script = FaultScript([Fault("reset_on_open", after=2, times=2)])
    assert [script.take("reset_on_open") is not None for _ in range(6)] == [False, False, True, True, False, False]


def test_a_share_is_drawn_from_the_seed() -> None:
    def happened(seed: int) -> list[bool]:
        script = FaultScript([Fault("reset_on_open", share=0.3)], seed=seed)
        return [script.take("reset_on_open") is not None for _ in range(1000)]

    assert happened(1) == happened(1) != happened(2)
    assert 250 < sum(happened(1)) < 350


def test_each_fault_draws_for_itself() -> None:
    alone = FaultScript([Fault("cut_output", share=0.5)], seed=3)
    beside = FaultScript([Fault("cut_output", share=0.5), Fault("hang", share=0.5)], seed=3)
    for _ in range(50):
        beside.take("hang")
        assert (alone.take("cut_output") is None) == (beside.take("cut_output") is None)


def test_runs_of_programs_are_occasions_of_their_own() -> None:
    script = FaultScript([Fault("hang", at_run=3), Fault("kill"), Fault("reboot", match="x")])
    assert script.take("hang", "x") is None
    assert script.take("hang", "x", run=2) is None
    assert script.take("hang", "x", run=3) is not None
    assert script.take("kill", "x", run=1) is None
    assert script.take("kill", "x", run=0) is not None, "a program's fault happens at its start"
    assert script.take("reboot", "x", run=0) is None
    assert script.take("reboot", "x") is not None


def test_every_kind_says_what_it_does_and_takes_settings_that_there_are() -> None:
    assert set(EFFECTS) == set(get_args(FaultKind))
    known = {field.name for field in fields(Fault)}
    assert [kind for kind, effect in EFFECTS.items() if not effect.settings <= known] == []


def test_the_document_lists_every_kind_with_its_settings() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for kind, effect in EFFECTS.items():
        taken = ", ".join(f"`{name}`" for name in sorted(effect.settings))
        assert f"| `{kind}` | {taken} | {effect.text} |" in text


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_scripts_are_read_and_listed(path: Path) -> None:
    assert load_faults(path)
    assert f"`{path.name}`" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_a_file_gives_its_faults_in_order(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(
        "faults:\n"
        "  - {kind: cut_push, at_bytes: 100_000, times: 2, share: 0.5}\n"
        "  - kind: wrong_latency\n"
        "    match: '--graph='\n"
        "    latency_ns: 1e300\n",
        encoding="utf-8",
    )
    assert load_faults(path) == (
        Fault("cut_push", at_bytes=100_000, times=2, share=0.5),
        Fault("wrong_latency", match="--graph=", latency_ns=1e300),
    )


REFUSED = {
    "list": ("- kind: hang", r"faults.yaml:1: the file holds one list"),
    "other key": ("fault: []", r"faults.yaml:1: the file holds one list"),
    "no mapping": ("faults: [hang]", r"faults.yaml:1: faults\[0\]: a fault is a mapping"),
    "no kind": ("faults:\n  - {}\n  - times: 1", r"faults.yaml:2: faults\[0\]: `kind:` is missing"),
    "kind": ("faults:\n  - times: 1\n    kind: rebot", r"faults.yaml:3: faults\[0\]: .*did you mean 'reboot'"),
    "list as kind": ("faults:\n  - kind: [hang]", r"faults.yaml:2: faults\[0\]: unknown kind"),
    "key": ("faults:\n  - kind: hang\n    tims: 1", r"faults.yaml:3: faults\[0\]: unknown key 'tims'; .*'times'"),
    "foreign": ("faults:\n  - kind: hang\n    at_bytes: 1", r"faults.yaml:3: .*hang takes no 'at_bytes'"),
    "negative": ("faults:\n  - kind: hang\n    times: -1", r"faults.yaml:3: faults\[0\].times: .*greater than"),
    "text": ("faults:\n  - kind: hang\n    times: often", r"faults.yaml:3: faults\[0\].times: .*integer"),
    "not a number": ("faults:\n  - kind: wrong_latency\n    latency_ns: .nan", r"faults.yaml:3: .*finite"),
    "share": ("faults:\n  - kind: hang\n    share: 1.5", r"faults.yaml:3: faults\[0\].share"),
    "code": ("faults: !!python/object/apply:os.system ['touch canary']", r"faults.yaml:1: the tag"),
    "twice": ("faults:\n  - kind: hang\n    kind: hang", r"faults.yaml:3: kind: repeated key"),
}


@pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED.keys())
def test_what_a_file_may_not_say(tmp_path: Path, text: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "faults.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=problem):
        load_faults(path)
    assert list(tmp_path.iterdir()) == [path], "nothing was run: a command in the file would have left a canary"
