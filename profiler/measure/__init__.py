"""Measuring: protocols, interleaved campaigns with reference kernels, statistics and verdicts."""

from profiler.measure.campaign import Campaign, Progress, load_measurements, measure
from profiler.measure.fleet import Opener, Outcome, Plan, measure_fleet
from profiler.measure.measurement import CorrectedBlock, Measurement, estimate
from profiler.measure.pack import Pack, PackReading, cut_packs
from profiler.measure.protocol import PROTOCOLS, Protocol
from profiler.measure.records import Block, CampaignRecord, Configuration, Way, WorkloadRecord
from profiler.measure.statistics import Comparison, Interval, compare, median_interval
from profiler.measure.verdicts import Reason, Verdict

__all__ = [
    "PROTOCOLS",
    "Block",
    "Campaign",
    "CampaignRecord",
    "Comparison",
    "Configuration",
    "CorrectedBlock",
    "Interval",
    "Measurement",
    "Opener",
    "Outcome",
    "Pack",
    "PackReading",
    "Plan",
    "Progress",
    "Protocol",
    "Reason",
    "Verdict",
    "Way",
    "WorkloadRecord",
    "compare",
    "cut_packs",
    "estimate",
    "load_measurements",
    "measure",
    "measure_fleet",
    "median_interval",
]
