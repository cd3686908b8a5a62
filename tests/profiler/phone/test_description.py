"""Descriptions of phones: those that are shipped, and those that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketnas.cli import run
from profiler.errors import ConfigError
from profiler.phone import load_phone
from profiler.phone.description import phones_folder

SHIPPED = sorted(phones_folder().glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_phones_are_whole(path: Path) -> None:
    phone = load_phone(path.stem)
    assert list(phone.cores) == list(range(len(phone.cores))), "each core is in one cluster"
    assert phone.properties["ro.serialno"] == phone.serial
    assert {"ro.product.model", "ro.build.fingerprint", "ro.product.cpu.abi"} <= phone.properties.keys()
    for cluster in phone.clusters:
        assert list(cluster.frequencies_khz) == sorted(set(cluster.frequencies_khz))
    assert path.name in (path.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("memory_kb: ", "memory: "), "Field required"),
        (("serial: ", "serial: ["), "not valid YAML"),
        (("capacity_mah: 2800", "capacity_mah: -1"), "greater than or equal"),
        (("cores: [7]", "cores: [64]"), "less than 64"),
        (("qemu_cpu: cortex-a76", "qemu_cpu: cortex-x99"), "'max'"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    text = (phones_folder() / "pixel4.yaml").read_text(encoding="utf-8")
    assert change[0] in text
    (tmp_path / "mine.yaml").write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_phone(str(tmp_path / "mine.yaml"))


def test_a_phone_that_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["phone", "serve", "--phone", "pixel99"]) == 2
    assert "known: flaky, galaxy_a50, mi9, pixel4, or" in capsys.readouterr().err
    assert run(["phone", "ring"]) == 2
    assert run(["phone", "serve", "--port", "70000"]) == 2


def test_one_seed_is_one_phone() -> None:
    from profiler.phone import Phone

    ids = [Phone(load_phone("pixel4"), seed=seed).state.boot_id for seed in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]
