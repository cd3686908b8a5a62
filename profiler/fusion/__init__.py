"""Fusion from evidence: what a runtime runs as one step on a device, by its profile or by pair tests."""

from profiler.fusion._chains import LONGEST, PAIRS, chains_in, first_chains, grown
from profiler.fusion._files import fusion_file_of, read_fusion_file, write_fusion_file
from profiler.fusion._lookup import (
    findings_beside,
    findings_for_rows,
    fusion_findings_for,
    fusion_rules_for,
    rules_for_rows,
    stored_findings,
)
from profiler.fusion._operator_rows import profile_chains, verdict_of_rows
from profiler.fusion._pair_tests import measure_pairs, pair_protocol
from profiler.fusion._probes import SIZES, Probe, Size
from profiler.fusion._verdict import PairTimes, Saved, saved_share
from profiler.fusion.evidence import (
    Chain,
    ChainFinding,
    FusionEvidence,
    FusionFindings,
    FusionRecord,
    FusionVerdict,
    How,
    rules_from,
)

__all__ = [
    "LONGEST",
    "PAIRS",
    "SIZES",
    "Chain",
    "ChainFinding",
    "FusionEvidence",
    "FusionFindings",
    "FusionRecord",
    "FusionVerdict",
    "How",
    "PairTimes",
    "Probe",
    "Saved",
    "Size",
    "chains_in",
    "findings_beside",
    "findings_for_rows",
    "first_chains",
    "fusion_file_of",
    "fusion_findings_for",
    "fusion_rules_for",
    "grown",
    "measure_pairs",
    "pair_protocol",
    "profile_chains",
    "read_fusion_file",
    "rules_for_rows",
    "rules_from",
    "saved_share",
    "stored_findings",
    "verdict_of_rows",
    "write_fusion_file",
]
