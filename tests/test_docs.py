"""What the documents say is so: links lead somewhere, commands exist, examples run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from pocketnas.cli._app import app
from tests._source import ROOT

DOCUMENTS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("data/*/README.md"))
    if ".venv" not in str(path)
)
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_documents_exist_with_their_options(document: Path) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    lines = re.findall(r"^(?: {4}|`)(?:\.venv/bin/)?pocketnas +([^`\n#]+)", document.read_text(encoding="utf-8"), re.M)
    for line in lines:
        name, *words = shlex.split(line)
        assert name in commands, f"pocketnas {line}"
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert [word for word in words if word.startswith("--") and word not in known] == [], f"pocketnas {line}"


def test_scripts_in_the_documents_exist() -> None:
    for document in DOCUMENTS:
        for script in re.findall(
            r"(?<![\w/.-])(?:\./)?((?:scripts|\.ci)/[\w-]+)", document.read_text(encoding="utf-8")
        ):
            path = ROOT / script
            assert path.is_file() and os.access(path, os.X_OK), f"{document.name} names {script}"


def test_folders_and_modules_of_the_map_exist() -> None:
    named = re.findall(
        r"`?((?:profiler|predictor|search|pocketnas|data|bench|examples|tests)/[\w/.]*)", _text("ARCHITECTURE.md")
    )
    assert [path for path in named if not (ROOT / path.rstrip(".")).exists()] == []


def test_exit_codes_of_the_readme_are_those_of_the_errors() -> None:
    from tests.test_errors import ERRORS

    told = {int(code) for code in re.findall(r"^\| (\d+) \|", _text("README.md"), re.M)}
    assert {kind.exit_code for kind in ERRORS} | {0, 130} == told


def test_changelog_has_what_a_reader_expects() -> None:
    text = _text("CHANGELOG.md")
    assert re.search(r"^## \[Unreleased\]$", text, re.M)
    headings = set(re.findall(r"^### (.+)$", text, re.M))
    assert headings <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_constraints_pin_every_dependency() -> None:
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pinned = {_plain(line.split("==")[0]) for line in _text("constraints.txt").splitlines() if "==" in line}
    names = {_plain(re.split(r"[<>=!~;\[ ]", requirement)[0]) for requirement in wanted}
    assert names - pinned == set()


def test_licence_is_the_whole_apache_licence() -> None:
    text = _text("LICENSE")
    assert "Apache License" in text and "END OF TERMS AND CONDITIONS" in text and len(text) > 11_000


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_runs_and_says_something(example: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(example)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
