"""The configuration: one ``crmops.yaml``, checked to the line, with secrets only by reference."""

from __future__ import annotations

from crmops.config.explain import ConfigProblems
from crmops.config.frame import TargetSettings
from crmops.config.loader import Config, load_config
from crmops.config.types import LocalPath

__all__ = ["Config", "ConfigProblems", "LocalPath", "TargetSettings", "load_config"]
