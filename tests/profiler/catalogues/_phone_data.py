"""Where the latencies of real phones lie that others published; they are no part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests._source import ROOT

PHONE_DATA = Path(os.environ.get("POCKETNAS_PHONE_DATA", ROOT.parent / "shared" / "phone-data"))

needs_phone_data = pytest.mark.skipif(
    not PHONE_DATA.is_dir(), reason=f"needs published latencies; set POCKETNAS_PHONE_DATA, {PHONE_DATA} is absent"
)
