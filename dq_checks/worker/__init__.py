"""The process that audits: the only place that imports great_expectations."""
