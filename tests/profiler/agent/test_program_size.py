"""The program stays one that can be read in an afternoon."""

from __future__ import annotations

from pathlib import Path

AGENT = Path(__file__).parents[3] / "agent"
MOST_LINES = 1000
MOST_COLUMNS = 145


def test_source_is_a_thousand_lines_at_most() -> None:
    lines = [
        line for path in AGENT.iterdir() if path.suffix in (".cpp", ".h") for line in path.read_text().splitlines()
    ]
    assert 500 < len(lines) <= MOST_LINES
    assert max(map(len, lines)) <= MOST_COLUMNS
