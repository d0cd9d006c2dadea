"""The seeder: a practice company in the CRM's tables, with defects whose truth is known.

``rates`` says what is planted and how often; ``run`` is the way through.
"""

from __future__ import annotations

from refcrm.seed.run import Progress, SeedReport, seed

__all__ = ["Progress", "SeedReport", "seed"]
