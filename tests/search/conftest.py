"""Tests of the search compute with one torch thread: many run beside each other, and results must repeat."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from search.threads import torch_threads


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    with torch_threads(1):
        yield
