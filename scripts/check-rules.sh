#!/bin/sh
# promtool over the alert rules and their tests, wherever they lie below alerts/. A rule file starts
# with `groups:`, a test file with `rule_files:`. No promtool is a failure: set-up provides it.
set -u
. "$(dirname "$0")/env.sh"
command -v promtool >/dev/null 2>&1 || { echo "no promtool: run make setup and read its warning" >&2; exit 1; }
rules=$(grep -rlE '^groups:' alerts --include='*.yml' --include='*.yaml' 2>/dev/null | sort)
tests=$(grep -rlE '^rule_files:' alerts tests --include='*.yml' --include='*.yaml' 2>/dev/null | grep -v '^tests/data/bad/' | sort)
[ -n "$rules" ] || { echo "no rule files below alerts/" >&2; exit 1; }
[ -n "$tests" ] || { echo "no rule tests below alerts/" >&2; exit 1; }
status=0
# shellcheck disable=SC2086  # file names of ours, without spaces
promtool check rules $rules || status=1
for file in $tests; do
    (cd "$(dirname "$file")" && promtool test rules "$(basename "$file")") || status=1
done
exit $status
