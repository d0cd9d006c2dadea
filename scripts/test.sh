#!/bin/sh
# The test suite: two workers, a test group stays in one of them; then, one after the other, the
# tests marked "alone", which need the machine for themselves. Arguments go to pytest instead.
set -u
. "$(dirname "$0")/env.sh"
if [ "$#" -gt 0 ]; then
    exec python -m pytest -n 2 --dist loadgroup "$@"
fi
status=0
python -m pytest -n 2 --dist loadgroup --durations=40 -m "not alone" || status=1
python -m pytest --durations=10 -m alone || status=1
exit "$status"
