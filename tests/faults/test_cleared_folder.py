"""Somebody clears /data/local/tmp in a campaign: the block is done again with all that it needs, once."""

from __future__ import annotations

import pytest

from profiler.backends.emulated import EmulatedBackend
from profiler.errors import ProgramRemovedError
from profiler.phone.files import SHELL_USER
from tests.faults._measured import device, run

FOLDER = "/data/local/tmp/pocketnas"


def clear(backend: EmulatedBackend) -> None:
    files = backend.phone.files
    for name in files.names(FOLDER, SHELL_USER):
        files.remove(f"{FOLDER}/{name}", SHELL_USER)
    files.remove(FOLDER, SHELL_USER, folder_too=True)


def test_a_cleared_folder_is_filled_again_and_the_phone_left_as_it_was() -> None:
    backend = EmulatedBackend(device())
    before = dict(backend.phone.state.settings)
    with backend:
        whole = run(backend)
        clear(backend)
        assert not run(backend).failure and not whole.failure
        assert backend.phone.state.settings != before
    assert backend.phone.state.settings == before
    assert backend.phone.files.names("/data/local/tmp", SHELL_USER) == []


def test_a_folder_that_is_cleared_again_and_again_ends_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    with EmulatedBackend(device()) as backend:
        run(backend)
        clear(backend)
        monkeypatch.setattr(backend._session, "prepare", lambda: None)
        with pytest.raises(ProgramRemovedError, match=r"does not stay in .*keep others from that folder"):
            run(backend)
