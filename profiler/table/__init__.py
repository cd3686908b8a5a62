"""The latency table: what is known of many workloads, one row each, as a checked DataFrame.

Predictors are fitted on it, people read it, and it goes out and comes in as CSV, Parquet or JSON.  It
keeps no raw samples: those stay in the store.
"""

from profiler.table._columns import COLUMNS
from profiler.table._table import LatencyTable, table, table_of

__all__ = ["COLUMNS", "LatencyTable", "table", "table_of"]
