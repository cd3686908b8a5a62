"""What the agent is built from: the right things, or none."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from pathlib import Path

import pytest

from profiler.agent._commands import BuildLog
from profiler.agent._progress import unseen
from profiler.agent.libraries import litert_library
from profiler.agent.sources import NCNN_VERSION, agent_folder, content_hash, ncnn_source, program_sources
from profiler.errors import AgentBuildError
from profiler.formats._ncnn_layers import INNER_LAYER_TYPES, LAYER_TYPES
from tests._source import ROOT


def test_the_program_has_the_layers_that_files_of_ours_need() -> None:
    lines = (agent_folder() / "layers.txt").read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]
    assert listed == sorted({*LAYER_TYPES, *INNER_LAYER_TYPES})


def test_ncnn_on_the_phone_is_the_ncnn_of_the_host() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert re.findall(r"^ncnn==(.+)$", pins, re.M) == [NCNN_VERSION]


def test_sources_are_installed_with_the_package() -> None:
    names = {path.name for path in program_sources(agent_folder())}
    assert {"CMakeLists.txt", "main.cpp", "engine_litert.cpp", "engine_ncnn.cpp"} <= names
    assert '"share/pocketnas/agent" = ["agent/*"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(path.is_file() for path in (ROOT / "agent").iterdir()), "folders would not be installed"


def test_without_source_the_advice_is_to_install_again(tmp_path: Path) -> None:
    with pytest.raises(AgentBuildError, match="install pocketnas again"):
        program_sources(tmp_path)


def test_content_hash_is_of_names_and_contents(tmp_path: Path) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    for file in files:
        file.write_bytes(file.name.encode())
    first = content_hash(files, tmp_path)
    assert content_hash(reversed(files), tmp_path) == first
    files[0].write_bytes(b"b")
    second = content_hash(files, tmp_path)
    files[0].rename(tmp_path / "c")
    assert len({first, second, content_hash([tmp_path / "b", tmp_path / "c"], tmp_path)}) == 3


def test_another_source_of_ncnn_is_refused(cache: Path, fake_pip: Path) -> None:
    log = BuildLog("test")
    with pytest.raises(AgentBuildError, match="is not the one that was recorded"):
        ncnn_source(log, unseen)
    assert not list((cache / "agent").glob("sources/*"))


def test_a_failed_fetch_says_what_pip_said(cache: Path, fake_pip: Path) -> None:
    fake_pip.write_text("#!/bin/sh\necho 'ERROR: No matching distribution found'\nexit 1\n", encoding="utf-8")
    with pytest.raises(AgentBuildError, match="No matching distribution found") as caught:
        ncnn_source(BuildLog("test"), unseen)
    assert caught.value.exit_code == 75


@pytest.mark.parametrize("damage", ["none", "library", "record", "archive"])
def test_library_of_a_wheel_is_held_to_its_record(
    damage: str, cache: Path, fake_pip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "another")
    wheel, library = tmp_path / "ai_edge_litert.whl", b"a library"
    digest = base64.urlsafe_b64encode(hashlib.sha256(library).digest()).rstrip(b"=").decode()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("ai_edge_litert/libLiteRt.so", library + b"!" if damage == "library" else library)
        if damage != "record":
            archive.writestr("a.dist-info/RECORD", f"ai_edge_litert/libLiteRt.so,sha256={digest},9\n")
    if damage == "archive":
        wheel.write_bytes(wheel.read_bytes()[:40])
    # The folder that pip is told to put packages into comes after --dest.
    fake_pip.write_text(f'#!/bin/sh\nwhile [ "$1" != --dest ]; do shift; done\ncp {wheel} "$2"\n', encoding="utf-8")
    if damage != "none":
        with pytest.raises(AgentBuildError, match=r"libLiteRt\.so"):
            litert_library("aarch64", BuildLog("test"), unseen)
        return
    found = litert_library("aarch64", BuildLog("test"), unseen)
    assert [file.read_bytes() for file in found.files] == [library]
    fake_pip.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    assert litert_library("aarch64", BuildLog("test"), unseen) == found


@pytest.fixture
def fake_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a script in the place of the Python that has pip; it unpacks a package that is not ncnn's, and refuses it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "python"
    tree = '"$TMPDIR/pip-download-abc/ncnn_0123"'
    script.write_text(
        f"#!/bin/sh\nmkdir -p {tree}/src {tree}/cmake\ntouch {tree}/CMakeLists.txt {tree}/LICENSE.txt\nexit 1\n",
        encoding="utf-8",
    )
    script.chmod(0o755)
    for module in ("sources", "libraries"):
        monkeypatch.setattr(f"profiler.agent.{module}.install_tools", lambda *_: folder)
    return script
