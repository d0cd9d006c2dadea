"""The history: every Run that was ever executed, in SQLite or PostgreSQL."""

from __future__ import annotations

from crmops.history.store import History, LiveRun, open_history
from crmops.history.totals import Histogram, Total

__all__ = ["Histogram", "History", "LiveRun", "Total", "open_history"]
