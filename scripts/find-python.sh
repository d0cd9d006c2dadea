#!/bin/sh
# Prints an interpreter that can run the set-up, which then chooses the one for .venv.
# A name in PATH proves nothing (a version manager leaves dead shims behind), so each is started.
fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'
for candidate in ${1:+"$1"} python3.13 python3.12 python3.11 python3 /usr/bin/python3; do
    if "$candidate" -c "$fits" >/dev/null 2>&1; then
        printf '%s\n' "$candidate"
        exit 0
    fi
    [ -n "$1" ] && [ "$candidate" = "$1" ] && {
        echo "setup: PYTHON=$1 does not start or is not Python 3.11, 3.12 or 3.13" >&2
        echo "  fix: name another, for example make setup PYTHON=/usr/bin/python3" >&2
        exit 4
    }
done
echo "setup: no Python 3.11, 3.12 or 3.13 was found that starts" >&2
echo "  fix: apt-get install python3 (Debian 12+, Ubuntu 24.04+), or name one: make setup PYTHON=/path/to/python3.12" >&2
exit 4
