"""The kernel of crmops: one vocabulary, one record, one history for every room."""

__version__ = "0.1.0"
