#!/bin/sh
# Regenerates requirements/*.txt from pyproject.toml: one file for each Python that we support,
# everything pinned and hashed, no host names inside. Needs the network and `make setup` before it.
#   sh scripts/lock.sh             keep the versions that still fit
#   sh scripts/lock.sh --upgrade   take the newest of everything
set -eu
cd "$(dirname "$0")/.."
UV=.venv/bin/uv
[ -x "$UV" ] || UV=$(command -v uv) || { echo "lock: no uv; run 'make setup' first" >&2; exit 4; }
common="--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet"
for minor in 11 12 13; do
    echo "locking for Python 3.$minor" >&2
    # shellcheck disable=SC2086  # the list of options is meant to split
    "$UV" pip compile pyproject.toml --extra all --group dev --python-version "3.$minor" \
        --python-platform linux $common "$@" --output-file "requirements/py3$minor.txt"
done
for name in bootstrap spark spark-build; do
    # shellcheck disable=SC2086
    "$UV" pip compile "requirements/$name.in" --universal --python-version 3.11 \
        $common "$@" --output-file "requirements/$name.txt"
done
