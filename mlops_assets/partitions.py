"""The partitions of the graph: one key per data window."""

import dagster as dg

window_partitions = dg.DynamicPartitionsDefinition(name="window")
