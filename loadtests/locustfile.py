"""``locust -f loadtests/locustfile.py --host URL --users N``: the people of a workload as locust
users, a class for each role.  docs/load-testing.md names the variables that it reads.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from locust import events

from crmops.errors import CrmopsError
from loadtests.child.locust_live import register
from loadtests.child.solo import drop_untagged, user_classes, warn_of_strangers
from loadtests.standalone import read_terms

try:
    terms = read_terms(os.environ)
    globals().update(user_classes(terms))
except CrmopsError as error:
    sys.stderr.write(f"crmops: {error}\n")
    if error.hint:
        sys.stderr.write(f"        {error.hint}\n")
    sys.exit(error.exit_code)


def _keep_to_tags(environment: Any, **_ignored: Any) -> None:
    drop_untagged(environment)
    warn_of_strangers(environment)


events.init.add_listener(_keep_to_tags)  # type: ignore[no-untyped-call]
register(events, terms)
