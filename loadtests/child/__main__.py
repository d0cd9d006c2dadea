"""``python -m loadtests.child``: reads a plan, puts the CRM under load, streams what it counts.

Standard input: the plan (one line), then ``go``; its end, or ``stop``, ends the load.  Standard
output: JSON lines (``ready``, then ``delta`` every second, then ``done``, or ``error``).
"""

from __future__ import annotations

import locust  # isort: skip  # first of all: it patches the standard library
import os
import sys

import gevent

from crmops.errors import CrmopsError
from loadtests.child.connection import ConnectionLost
from loadtests.child.generator import Generator
from loadtests.child.pipe import Parent, Pipe, raise_descriptor_limit, read_line
from loadtests.plan import Plan


def main() -> int:
    """Read the plan, obey it, and say how it went."""
    out = os.dup(1)
    os.dup2(2, 1)  # whatever locust prints goes to the log
    pipe = Pipe(out)
    try:
        line, rest = read_line(0)
        plan = Plan.load(line)
        raise_descriptor_limit(len(plan.people))
        generator = Generator(plan, pipe)
    except CrmopsError as error:
        pipe.write({"type": "error", "message": error.message, "hint": error.hint})
        return 4
    except ConnectionLost as error:
        pipe.write({"type": "error", "message": str(error), "hint": ""})
        return 4
    parent = Parent(0, rest)
    gevent.spawn(parent.listen)
    pipe.write({"type": "ready", "locust": locust.__version__, "pid": os.getpid()})
    parent.go.wait()
    if not parent.stop.is_set():
        generator.run(parent.stop)
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
