"""Where saved outputs of real phones and tools are, and what its index says must be read from each.

The corpus is other people's text and no part of the repository; tests that need it are marked device_corpus and are
left out, with a count, where it is absent.
"""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DEVICE_CORPUS_VARIABLE = "POCKETNAS_DEVICE_CORPUS"
_BESIDE_REPOSITORY = Path(__file__).resolve().parents[2] / "shared" / "device-corpus"
DEVICE_CORPUS = Path(os.environ.get(DEVICE_CORPUS_VARIABLE, _BESIDE_REPOSITORY))

_PARSED_AS = {
    "adb-devices": "adb_devices",
    "adb-errors": "adb_message",
    "getprop": "properties",
    "buildprop": "properties",
}
_SUMMARY = re.compile(r"summary\{([^}]*)\}")
_STAGES = re.compile(r"stages\[([^\]]*)\]")
_ROWS = re.compile(r"run-order rows with a % = ([0-9]+)")


@dataclass(frozen=True)
class Sample:
    """One file of the corpus.

    Attributes:
        file: Path inside the corpus.
        kind: What `pocketnas parse` calls it.
        facts: What a person noted.
        auto: What a script read off; benchmark_model only.
        expect: Kind of outcome; benchmark_model only.
        cut: Whether it must be called incomplete.
    """

    file: str
    kind: str
    facts: str
    auto: str
    expect: str
    cut: bool

    def __str__(self) -> str:
        return self.file

    @property
    def data(self) -> bytes:
        return (DEVICE_CORPUS / self.file).read_bytes()

    @property
    def summaries(self) -> list[dict[str, float]]:
        """Summary lines by their labels; a line that is printed twice is there once."""
        lines = [_pairs(found.split(", "), ": ") for found in _SUMMARY.findall(self.auto)]
        return [line for place, line in enumerate(lines) if not place or line != lines[place - 1]]

    @property
    def stages(self) -> list[dict[str, float]]:
        """Statistics lines that are whole."""
        found = _STAGES.search(self.auto)
        lines = [_pairs(line.split(), "=") for line in found[1].split(" | ")] if found else []
        return [line for line in lines if "curr" in line and ("std" in line or line["count"] == 1)]

    @property
    def operator_rows(self) -> int | None:
        found = _ROWS.search(self.auto)
        return int(found[1]) if found else None


@cache
def samples() -> tuple[Sample, ...]:
    """All files of the corpus; none where it is absent."""
    index = DEVICE_CORPUS / "index.csv"
    if not index.is_file():
        return ()
    with index.open(encoding="utf-8", newline="") as file:
        return tuple(_sample(row) for row in csv.DictReader(file))


def _sample(row: dict[str, str]) -> Sample:
    kind = _PARSED_AS.get(row["kind"], row["kind"])
    if kind == "ort":
        kind = "onnxruntime_profile" if "/profile" in row["file"] else "onnxruntime_perf_test"
    facts, _, auto = row["key_facts"].partition("|| auto:")
    return Sample(row["file"], kind, facts, auto, row["expect"], row["cut"] == "yes")


def _pairs(texts: list[str], mark: str) -> dict[str, float]:
    pairs = (text.split(mark, 1) for text in texts if mark in text)
    return {name.strip(): float(value) for name, value in pairs if re.fullmatch(r"[0-9.e+]+", value)}
