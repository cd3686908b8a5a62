"""devices.yaml: what is read, and how every mistake in it is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from profiler.devices import AdbDevice, Device, EmulatedDevice, HostDevice, find_device, load_devices, with_runtime
from profiler.errors import ConfigError, DeviceNotFoundError
from tests._source import ROOT


def load(tmp_path: Path, text: str) -> dict[str, Device]:
    path = tmp_path / "devices.yaml"
    path.write_text(text, encoding="utf-8")
    return load_devices(path)


def problem(tmp_path: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert caught.value.path == tmp_path / "devices.yaml"
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_shipped_file_has_the_host_and_an_emulated_phone() -> None:
    assert load_devices(ROOT / "devices.yaml") == {
        "host": HostDevice(name="host", runtime="litert", threads=1),
        "pixel4-emulated": EmulatedDevice(name="pixel4-emulated", phone="pixel4"),
    }


def test_all_settings_are_read(tmp_path: Path) -> None:
    text = """
    devices:
      "two threads":
        backend: host
        runtime: onnxruntime
        threads: 2
        cpus: [2, 3]
        execution_provider: XnnpackExecutionProvider
        python: /opt/env/bin/python
        timeout_s: 12
      no: {backend: host, cpus: any, delegate: builtin}
    """
    devices = load(tmp_path, text)
    assert list(devices) == ["two threads", "no"]
    first, second = devices.values()
    assert isinstance(first, HostDevice) and isinstance(second, HostDevice)
    assert (first.threads, first.cpus, first.timeout_s, first.python) == (2, (2, 3), 12.0, "/opt/env/bin/python")
    assert first.accelerator == "XnnpackExecutionProvider"
    assert (second.cpus, second.accelerator, second.runtime) == ("any", "builtin", "litert")


def test_defaults_of_accelerators() -> None:
    assert HostDevice(name="a", runtime="litert").accelerator == "xnnpack"
    assert HostDevice(name="a", runtime="onnxruntime").accelerator == "CPUExecutionProvider"


def test_devices_are_immutable() -> None:
    with pytest.raises(ValidationError):
        HostDevice(name="a").threads = 2  # type: ignore[misc]


def test_a_phone(tmp_path: Path) -> None:
    text = """
    devices:
      phone:
        backend: adb
        serial: 192.168.1.7:5555
        program: build/benchmark_model
        delegate: nnapi
        nnapi_accelerator: qti-dsp
        remote_directory: /data/local/tmp/x/../pocketnas-ci/
      other: {backend: emulated, runtime: onnxruntime_perf_test, seed: 3, speed: 1}
    """
    phone, other = load(tmp_path, text).values()
    assert isinstance(phone, AdbDevice) and isinstance(other, EmulatedDevice)
    assert phone.remote_directory == "/data/local/tmp/pocketnas-ci"
    assert (phone.accelerator, phone.runtime, phone.warmup_s) == ("nnapi", "benchmark_model", 0.2)
    assert (other.accelerator, other.seed, other.speed) == ("CPUExecutionProvider", 3, 1.0)


HEAD = "devices:\n  a:\n    backend: host\n"
AGENT = "devices:\n  a:\n    backend: adb\n    serial: s\n"
PHONE = "devices:\n  a:\n    backend: adb\n    serial: s\n    program: p\n"
EMULATED = "devices:\n  a:\n    backend: emulated\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (PHONE + "    remote_directory: /system\n", 6, ["a.remote_directory", "not ours to write to"]),
        (PHONE + "    remote_directory: /data/local/tmp/../..\n", 6, ["not ours to write to"]),
        (PHONE + "    delegate: hexagon\n", 2, ["unknown delegate 'hexagon'"]),
        (PHONE + "    execution_provider: cpu\n", 2, ["execution_provider is not for benchmark_model"]),
        (PHONE + "    nnapi_accelerator: qti-dsp\n", 2, ["delegate: nnapi, not xnnpack"]),
        (PHONE + "    runtime: litert\n", 6, ["unknown runtime 'litert'", "did you mean 'agent-litert'"]),
        (PHONE + "    runtime: agent-ncnn\n", 2, ["program is not for agent-ncnn", "leave it out"]),
        (PHONE + "    temperature_limit_c: 40.0\n", 2, ["temperature_limit_c is for the agent", "benchmark_model"]),
        (AGENT + "    runtime: benchmark_model\n", 2, ["benchmark_model needs `program:`", "agent-litert needs none"]),
        (AGENT + "    precision: fp16\n", 2, ["precision is not for agent-litert", "delegate"]),
        (AGENT + "    delegate: gpu\n", 2, ["unknown delegate 'gpu'"]),
        (AGENT + "    runtime: agent-ncnn\n    precision: fp8\n", 2, ["unknown precision 'fp8'"]),
        (AGENT + "    frequency_share: 1.5\n", 5, ["a.frequency_share", "less than or equal to 1"]),
        (HEAD + "    runtime: agent-nccn\n", 4, ["did you mean 'agent-ncnn'"]),
        (PHONE + "    phone: pixel4\n", 6, ["unknown key"]),
        ("devices:\n  a:\n    backend: adb\n", 2, ["a.serial", "required"]),
        (EMULATED + "    speed: 2\n", 4, ["a.speed", "less than or equal to 1"]),
        (EMULATED + "    seed: -1\n", 4, ["a.seed"]),
        (EMULATED + "    serial: s\n", 4, ["unknown key"]),
        (HEAD + "    thraeds: 1\n", 4, ["thraeds", "did you mean 'threads'"]),
        (HEAD + "    colour: red\n", 4, ["colour", "known: ", "threads"]),
        (HEAD + "    threads: 1\n    threads: 2\n", 5, ["threads", "line 4"]),
        (HEAD + "  b:\n    backend: host\n  a:\n    backend: host\n", 6, ["repeated key", "line 2"]),
        (HEAD + "    threads: two\n", 4, ["a.threads", "integer"]),
        (HEAD + "    threads: '2'\n", 4, ["a.threads", "integer"]),
        (HEAD + "    threads: 1.5\n", 4, ["a.threads", "integer"]),
        (HEAD + "    threads: true\n", 4, ["a.threads", "integer"]),
        (HEAD + "    threads: 0\n", 4, ["a.threads", "greater than or equal to 1"]),
        (HEAD + "    timeout_s: .nan\n", 4, ["a.timeout_s", "finite"]),
        (HEAD + "    timeout_s: .inf\n", 4, ["a.timeout_s", "finite"]),
        (HEAD + "    timeout_s: -3\n", 4, ["a.timeout_s", "greater than 0"]),
        (HEAD + "    runtime: liter\n", 4, ["liter", "did you mean 'litert'"]),
        (HEAD + "    delegate: xnpack\n", 2, ["xnpack", "did you mean 'xnnpack'"]),
        (HEAD + "    execution_provider: X\n", 2, ["execution_provider is not for litert", "delegate"]),
        (HEAD + "    cpus: [0]\n    threads: 2\n", 2, ["2 threads", "[0]"]),
        (HEAD + "    cpus: []\n", 4, ["a.cpus"]),
        (HEAD + "    cpus: [0, -1]\n", 4, ["a.cpus"]),
        (HEAD + "    cpus: all\n", 4, ["a.cpus", "'auto' or 'any'"]),
        (HEAD + "    name: b\n", 4, ["a device's name is its key"]),
        (HEAD + "    python: 2024-01-01\n", 4, ["timestamp", "quotes"]),
        (f"{HEAD}    threads: {'9' * 5000}\n", 4, ["999", "cannot be read"]),
        ("devices:\n  a:\n    backend: hots\n", 3, ["hots", "did you mean 'host'"]),
        ("devices:\n  a:\n    backend: [host]\n", 3, ["unknown backend"]),
        ("devices:\n  a:\n    runtime: litert\n", 2, ["`backend:` is missing"]),
        ("devices:\n  a: host\n", 2, ["a device is a mapping"]),
        ("device:\n  a:\n    backend: host\n", 1, ["did you mean 'devices'"]),
        ("devices: {}\nextra: 1\n", 2, ["'extra'"]),
        ("- a\n", 1, ["devices:"]),
        ("", 1, ["devices:"]),
        ("devices:\n  a: {backend: host\n", 3, ["not valid YAML"]),
        ("devices:\n\ta: 1\n", 2, ["not valid YAML"]),
        ("devices:\n  [a, b]: 1\n", 2, ["a key must be text"]),
        ('devices:\n  "a\\x1b[2J":\n    backend: host\n', 2, ["printable"]),
        ('devices:\n  "":\n    backend: host\n', 2, ["at least 1 character"]),
        (f"devices:\n  {'a' * 200}:\n    backend: host\n", 2, ["at most 100 characters"]),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, line: int, words: list[str]) -> None:
    error = problem(tmp_path, text)
    assert error.line == line
    for word in words:
        assert word in str(error)


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_devices(tmp_path / "none.yaml")


def test_find_device_lists_what_there_is() -> None:
    devices: dict[str, Device] = {name: HostDevice(name=name) for name in ("host", "quiet")}
    assert find_device(devices, "quiet").name == "quiet"
    with pytest.raises(DeviceNotFoundError, match=r"did you mean 'host'.* has 'host', 'quiet'"):
        find_device(devices, "hots")
    with pytest.raises(DeviceNotFoundError, match="has none"):
        find_device({}, "host")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(text=st.text(max_size=200) | st.text("devices: \n{}[]&*!-a'\"|>?%@`\t", max_size=80))
def test_any_text_is_read_or_refused_as_ours(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        load_devices(path)
    except ConfigError as error:
        assert str(path) in str(error)


def test_a_phone_without_a_program_has_the_agent(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(AGENT + "  b:\n    backend: adb\n    serial: s\n    program: benchmark_model\n")
    without, with_program = load_devices(path).values()
    assert isinstance(without, AdbDevice) and without.runtime == "agent-litert" and without.accelerator == "xnnpack"
    assert isinstance(with_program, AdbDevice) and with_program.runtime == "benchmark_model"


def test_another_runtime_is_judged_as_in_the_file() -> None:
    host = HostDevice(name="host", threads=2, cpus=(0, 1))
    assert with_runtime(host, "agent-ncnn") == HostDevice(name="host", runtime="agent-ncnn", threads=2, cpus=(0, 1))
    with pytest.raises(ConfigError, match=r"host: unknown runtime 'agent-nccn'; did you mean 'agent-ncnn'"):
        with_runtime(host, "agent-nccn")
    with pytest.raises(ConfigError, match="delegate is not for agent-ncnn"):
        with_runtime(HostDevice(name="host", delegate="builtin"), "agent-ncnn")
    phone = AdbDevice(name="phone", serial="s", program="benchmark_model")
    assert with_runtime(phone, "agent-litert") == AdbDevice(name="phone", serial="s")
    with pytest.raises(ConfigError, match="needs `program:`"):
        with_runtime(AdbDevice(name="phone", serial="s"), "benchmark_model")
    assert with_runtime(EmulatedDevice(name="e", seed=3), "agent-litert").accelerator == "xnnpack"
