"""Run one playbook through ansible-runner, in a process of its own.

``python -m playbooks.child SPEC`` reads a JSON file, prints one JSON line an event and a last
one with the end.  Being a process of its own it starts with a clean environment (ansible-runner
writes its environment to disk), and it can be ended whatever its libraries do.  It cancels the
playbook when its standard input closes, that is also when its parent is killed.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import ansible_runner

_SEEN = {
    "playbook_on_task_start": "begun",
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "failed",
    "runner_on_skipped": "skipped",
}


def main(spec_file: str) -> int:
    """Run the playbook that a spec file describes; the code is 0 when it could be run at all."""
    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_watch_parent, args=(stop,), daemon=True).start()
    done = ansible_runner.run(
        private_data_dir=spec["private"],
        project_dir=spec["project"],
        inventory=spec["inventory"],
        playbook=spec["playbook"],
        extravars=spec["variables"],
        envvars=spec["environment"],
        timeout=spec["timeout"],
        quiet=True,
        suppress_env_files=True,
        cancel_callback=stop.is_set,
        event_handler=_tell,
    )
    _print({"end": done.status, "code": done.rc})
    return 0


def _watch_parent(stop: threading.Event) -> None:
    while sys.stdin.buffer.read(1):
        continue
    stop.set()


def _tell(event: dict[str, Any]) -> bool:
    """Pass on what happened, without results: those may hold anything but for our own words."""
    what = _SEEN.get(str(event.get("event")))
    if what:
        data = event.get("event_data", {})
        _print(
            {
                "what": what,
                "task": str(data.get("task", "")),
                "host": str(data.get("host", "")),
                "seconds": data.get("duration"),
                "message": _own_words(data) if what == "failed" else "",
            }
        )
    return False  # False: ansible-runner keeps no file of the event


def _own_words(data: dict[str, Any]) -> str:
    """The message of a task that can only say what a playbook of ours says."""
    if data.get("task_action") not in ("ansible.builtin.assert", "ansible.builtin.fail"):
        return ""
    return str(data.get("res", {}).get("msg", ""))[:300]


def _print(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
