#!/bin/sh
# Runs one bench, or all of them one after another; fails if any missed its target.
set -u
cd "$(dirname "$0")/.." || exit 4
name=${1:-all}
[ $# -gt 0 ] && shift
if [ "$name" = all ]; then
    set -- bench/[a-z]*.py
    [ -e "$1" ] || { echo "bench: there is no bench in bench/" >&2; exit 4; }
    status=0
    for file; do
        echo "== $file"
        .venv/bin/python "$file" || status=1
    done
    exit $status
fi
if [ ! -f "bench/$name.py" ]; then
    echo "bench: there is no bench/$name.py" >&2
    echo "  fix: one of: $(cd bench 2>/dev/null && ls [a-z]*.py 2>/dev/null | sed 's/\.py$//' | tr '\n' ' ')" >&2
    exit 2
fi
exec .venv/bin/python "bench/$name.py" "$@"
