"""Which findings hold for given rows, from a store or from the file beside a table, and the rules that follow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from profiler.fusion._files import fusion_file_of, read_fusion_file
from profiler.fusion.evidence import FusionFindings, rules_from
from profiler.kernels import FusionRules
from profiler.measure.records import Configuration
from profiler.workload import Dtype

if TYPE_CHECKING:
    from profiler.store import Store
    from profiler.table import LatencyTable


def fusion_findings_for(
    store: Store, configuration: Configuration, *, dtype: Dtype = "float32"
) -> FusionFindings | None:
    """Return what a store knows of fusion on a configuration; None where nothing was looked at.

    Memory, cores and threads do not decide what fuses, so findings of a configuration that differs in these alone
    hold as well; those of the very same one come first.
    """
    same = [record for record in store.fusion() if record.dtype == dtype]
    exact = [record for record in same if record.configuration == configuration]
    alike = [record for record in same if _deciding(record.configuration) == _deciding(configuration)]
    return (exact or alike)[-1].findings if exact or alike else None


def fusion_rules_for(store: Store, configuration: Configuration, *, dtype: Dtype = "float32") -> FusionRules | None:
    """Return the fusion rules found on a configuration; None where nothing was looked at."""
    findings = fusion_findings_for(store, configuration, dtype=dtype)
    return findings.rules if findings else None


def stored_findings(store: Store) -> tuple[FusionFindings, ...]:
    """Return all that a store knows of fusion, one entry a configuration and numeric type."""
    return tuple(record.findings for record in store.fusion())


def findings_beside(table_file: Path) -> tuple[FusionFindings, ...]:
    """Return the findings in the file beside an exported table; none where there is no such file.

    Raises:
        TableError: The file is damaged.
        SchemaMismatchError: Another version wrote it.
    """
    path = fusion_file_of(table_file)
    return read_fusion_file(path) if path.is_file() else ()


def findings_for_rows(findings: Iterable[FusionFindings], rows: LatencyTable) -> FusionFindings | None:
    """Return the findings that hold for the rows of a table of one device; None where none do.

    They must be of the same device, source, runtime with its version, processor and numeric type. Where several
    differ in their accelerator alone, which a table has no column for, none is chosen.
    """
    columns = ("device", "source", "runtime", "runtime_version", "processor", "dtype")
    origins = rows.frame[list(columns)].drop_duplicates().to_dict(orient="records")
    fitting = [found for found in findings if origins == [{column: getattr(found, column) for column in columns}]]
    rules = {found.rules.chains for found in fitting}
    return fitting[-1] if len(rules) == 1 else None


def rules_for_rows(findings: Iterable[FusionFindings], rows: LatencyTable) -> FusionRules | None:
    """Return the rules to cut networks by when the kernels of a table are learnt from; None without findings for it.

    What was found fused is one kernel. What was found apart is two, unless the table holds it as one, as tables do
    that were measured by the built-in rules: a chain that was measured as a whole has the right latency either way.
    """
    found = findings_for_rows(findings, rows)
    if found is None:
        return None
    measured = {tuple(kind.split("+")) for kind in rows.kernels().frame["kind"].unique()}
    whole = {kinds[:end] for kinds in measured for end in range(2, len(kinds) + 1)}
    return rules_from(found.rules.chains | (found.built_in & whole), {})


def _deciding(configuration: Configuration) -> Configuration:
    facts = replace(configuration.facts, cores=0, memory_bytes=0, system="", threads=1, cpus="")
    return replace(configuration, facts=facts)
