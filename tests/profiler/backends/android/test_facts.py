"""What a phone is: from whole answers, from refused ones, and from real phones'."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.backends.android import FACT_PROBES, PhoneFacts, read_facts
from tests.device_corpus import DEVICE_CORPUS

REFUSALS = [
    b"",
    b"\n",
    b"/system/bin/sh: getprop: inaccessible or not found\n",
    b"cat: /proc/cpuinfo: Permission denied\n",
    b"\xff\xfe\x1b[2J",
]
CPU = "/sys/devices/system/cpu"


def cpufreq(files: dict[str, str]) -> bytes:
    return "".join(f"==> {CPU}/{name} <==\n{content}\n" for name, content in files.items()).encode()


def properties(**values: str) -> bytes:
    return "".join(f"[{name.replace('_', '.')}]: [{value}]\n" for name, value in values.items()).encode()


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_phone_that_refuses_everything_is_unknown_and_not_an_error(refusal: bytes) -> None:
    facts = read_facts(dict.fromkeys(FACT_PROBES, refusal) | {"boot_id": b""})
    told = {field.name: getattr(facts, field.name) for field in fields(PhoneFacts)}
    assert set(told.values()) == {None, (), False}
    assert (facts.processor, facts.system) == ("unknown SoC", "Android")


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(sorted(FACT_PROBES)), st.binary(max_size=300)))
def test_any_answer_is_read_or_unknown(answers: dict[str, bytes]) -> None:
    facts = read_facts(answers)
    assert facts.memory_bytes is None or facts.memory_bytes > 0
    assert facts.processor


def test_clusters_by_shared_clocks_the_fastest_first() -> None:
    files = {"online": "0-5", "possible": "0-7"}
    for cpu, (shared, most) in enumerate([("0 1 2 3", 1_800_000)] * 4 + [("4 5", 2_400_000)] * 2):
        files |= {f"cpu{cpu}/cpufreq/related_cpus": shared, f"cpu{cpu}/cpufreq/cpuinfo_max_freq": str(most)}
    facts = read_facts({"cpufreq": cpufreq(files)})
    assert [cluster.cores for cluster in facts.clusters] == [(4, 5), (0, 1, 2, 3)]
    assert facts.cores == (0, 1, 2, 3, 4, 5)
    assert facts.processor == "unknown SoC (2x core 2.40 GHz + 4x core 1.80 GHz)"


def test_where_clocks_are_equal_small_cores_come_last() -> None:
    blocks = "".join(
        f"processor\t: {cpu}\nCPU implementer\t: 0x41\nCPU part\t: {part}\n\n"
        for cpu, part in enumerate(["0xd09", "0xd09", "0xd03", "0xd03"])
    )
    files = {f"cpu{cpu}/cpufreq/cpuinfo_max_freq": "2000000" for cpu in range(4)} | {"online": "0-3"}
    facts = read_facts({"cpufreq": cpufreq(files), "cpuinfo": blocks.encode()})
    assert [(cluster.name, cluster.cores) for cluster in facts.clusters] == [
        ("Cortex-A73", (0, 1)),
        ("Cortex-A53", (2, 3)),
    ]


@pytest.mark.parametrize(
    ("values", "emulated"),
    [
        ({"ro_hardware": "flame"}, False),
        ({"ro_pocketnas_emulated": "1"}, True),
        ({"ro_kernel_qemu": "1"}, True),
        ({"ro_boot_qemu": "1"}, True),
        ({"ro_kernel_qemu": "0"}, False),
        ({"ro_hardware": "ranchu"}, True),
        ({"ro_hardware": "cutf_cvm"}, True),
    ],
)
def test_an_emulated_phone_says_so(values: dict[str, str], emulated: bool) -> None:
    assert read_facts({"properties": properties(**values)}).emulated is emulated


@pytest.mark.device_corpus
@pytest.mark.parametrize(
    ("name", "processor", "abi"),
    [
        ("galaxy-s9-us", "sdm845 (4x core 2.80 GHz + 4x core 1.77 GHz)", "arm64-v8a"),
        ("oppo-r15", "mt6771 (4x Cortex-A73 1.99 GHz + 4x Cortex-A53 1.99 GHz)", "arm64-v8a"),
        ("meizu-pro-7-plus", "mt6799 (1x core 2.60 GHz + 1x core 2.20 GHz + 4x Cortex-A35 1.90 GHz)", "arm64-v8a"),
        ("moto-g-gen5", "msm8937 (4x core 1.40 GHz + 4x core 1.09 GHz)", "armeabi-v7a"),
        ("zenfone-2", "moorefield (2x core 2.33 GHz + 2x core 2.33 GHz)", "x86"),
    ],
)
def test_real_phones(name: str, processor: str, abi: str) -> None:
    answers = {
        "properties": (DEVICE_CORPUS / "getprop" / f"{name}_from-mock.txt").read_bytes(),
        "cpufreq": (DEVICE_CORPUS / "cpufreq" / f"{name}.txt").read_bytes(),
    }
    cpuinfo = DEVICE_CORPUS / "cpuinfo" / f"{name}.txt"
    if cpuinfo.exists():
        answers["cpuinfo"] = cpuinfo.read_bytes()
    facts = read_facts(answers)
    assert facts.processor == processor
    assert facts.abis[0] == abi
