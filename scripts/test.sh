#!/bin/sh
# The test suite: two workers, a test group stays in one of them. Arguments go to pytest.
set -u
. "$(dirname "$0")/env.sh"
exec python -m pytest -n 2 --dist loadgroup "$@"
