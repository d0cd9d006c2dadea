"""What each kind of record is compared by, and how much it weighs before training."""

from __future__ import annotations

from collections.abc import Mapping

from dq_checks.duplicates.training.parts import Plan
from dq_checks.duplicates.training.plans_chinese import CHINESE_ACCOUNT, CHINESE_CONTACT
from dq_checks.duplicates.training.plans_latin import LATIN_ACCOUNT, LATIN_CONTACT

PLANS: Mapping[str, Plan] = {
    "contact-latin": LATIN_CONTACT,
    "contact-chinese": CHINESE_CONTACT,
    "account-latin": LATIN_ACCOUNT,
    "account-chinese": CHINESE_ACCOUNT,
}
