"""Faults of all kinds at once, by chance: whatever comes of it, no number is wrong and nothing of ours is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiler.adb import _backoff
from profiler.backends.android import block as phone_block
from profiler.backends.emulated import EmulatedBackend
from profiler.errors import DeviceError
from profiler.measure import measure
from profiler.phone import Fault, FaultScript
from profiler.phone.files import SHELL_USER
from profiler.store import Store
from tests.faults._measured import PROTOCOL, RUN, device, numbers, workload

WORK = tuple(workload(channels) for channels in (4, 5))

PASSING = (
    Fault("reset_on_open", share=0.02),
    Fault("reset_after_open", match=RUN, share=0.1),
    Fault("drop_connection", share=0.1),
    Fault("cut_output", at_bytes=70, share=0.02),
    Fault("cut_output", match=RUN, at_bytes=900, share=0.05),
    Fault("cut_push", at_bytes=100, share=0.1),
    Fault("truncate_output", match=RUN, at_bytes=700, share=0.05),
    Fault("lose_exit_status", match=RUN, share=0.05),
    Fault("throttle", match=RUN, at_run=2, share=0.05, seconds=40),
    Fault("screen_off", match=RUN, at_run=1, share=0.05),
    Fault("reboot", match=RUN, at_run=3, share=0.03, seconds=20),
    Fault("vanish", match=RUN, at_run=4, share=0.03, seconds=30),
    Fault("wrong_latency", match=RUN, at_run=0, share=0.03, latency_ns=-7.0),
    Fault("wrong_count", match=RUN, share=0.03, count=3),
)


@pytest.mark.parametrize("seed", [0, *[pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 24)]])
def test_no_chance_makes_a_number_wrong(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_backoff, "PAUSES_S", (0.01, 0.02, 0.04))
    monkeypatch.setattr(phone_block, "_LOOKING_S", 1.0)
    with Store(tmp_path / "calm.db") as store, EmulatedBackend(device(seed=seed)) as backend:
        measure(backend, WORK, PROTOCOL, store)
        truth = {(key, round_): samples for key, round_, _, samples in numbers(store)}
    tries, ended = 0, False
    with Store(tmp_path / "chaos.db") as store:
        while not ended and tries < 10:
            backend = EmulatedBackend(device(seed=seed))
            phone = backend.phone
            before = dict(phone.state.settings)
            tries += 1
            try:
                with backend:
                    phone.faults = FaultScript(PASSING, seed=100 * seed + tries)
                    measure(backend, WORK, PROTOCOL, store)
                    ended = True
                    phone.faults.clear()
            except DeviceError as err:
                assert err.exit_code == 75
                if getattr(err, "__notes__", []):
                    continue  # it could not be reached any more, and that was said
            if ended:
                assert phone.state.settings == before
                assert phone.files.names("/data/local/tmp", SHELL_USER) == []
                assert [process for process in phone.processes if process.task is not None] == []
        assert ended
        found = numbers(store)
    assert all(samples == truth[key, round_] for key, round_, status, samples in found if status == "ok")
    assert all(samples == () for _, _, status, samples in found if status != "ok")
    assert len({(key, round_) for key, round_, *_ in found}) == len(found), "no block stands twice"
