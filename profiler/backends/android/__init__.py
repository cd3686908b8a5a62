"""What is Android's about a phone: what it is, how it is, where programs run on it, and how it is left as it was."""

from profiler.backends.android.affinity import affinity_mask, chosen_cores
from profiler.backends.android.agent_site import PhoneAgentSite
from profiler.backends.android.block import PhoneBlock
from profiler.backends.android.checks import CHECK_IDS, LEAST_STORAGE_BYTES, battery_check, phone_checks
from profiler.backends.android.cooling import cool_down
from profiler.backends.android.elf import abi_of
from profiler.backends.android.facts import FACT_PROBES, CpuCluster, PhoneFacts, read_facts
from profiler.backends.android.health import BLOCK_PROBES, BRIEF_PROBES, HEALTH_PROBES, PhoneHealth, read_health
from profiler.backends.android.model_shelf import ModelShelf
from profiler.backends.android.patience import Patience
from profiler.backends.android.phone_agent import PhoneAgent
from profiler.backends.android.phone_program import PhoneProgram
from profiler.backends.android.probes import ask
from profiler.backends.android.remote_jobs import end_leftovers
from profiler.backends.android.session import Payload, PhoneSession
from profiler.backends.android.settings import PhoneSettings

__all__ = [
    "BLOCK_PROBES",
    "BRIEF_PROBES",
    "CHECK_IDS",
    "FACT_PROBES",
    "HEALTH_PROBES",
    "LEAST_STORAGE_BYTES",
    "CpuCluster",
    "ModelShelf",
    "Patience",
    "Payload",
    "PhoneAgent",
    "PhoneAgentSite",
    "PhoneBlock",
    "PhoneFacts",
    "PhoneHealth",
    "PhoneProgram",
    "PhoneSession",
    "PhoneSettings",
    "abi_of",
    "affinity_mask",
    "ask",
    "battery_check",
    "chosen_cores",
    "cool_down",
    "end_leftovers",
    "phone_checks",
    "read_facts",
    "read_health",
]
