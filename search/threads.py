"""How many threads torch computes with, and with what memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from search._memory import kept_memory


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute with some number of threads, and keep memory for it; as before afterwards.

    Sums are split among threads, so results are the same to the last bit only for the same number.  Networks as
    small as those of a cell space gain nothing from a second thread, and on a busy machine threads that wait for
    each other slow them down tenfold.

    Args:
        count: Threads, >= 1.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with kept_memory():
            yield
    finally:
        torch.set_num_threads(before)
