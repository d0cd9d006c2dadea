#!/bin/sh
# Everything that can be said about the project without running it. Each check has its say, also
# after another has failed; the last lines name those that did.
#   sh scripts/check.sh [NAME ...]     only these, for example: format lint types
set -u
. "$(dirname "$0")/env.sh"
packages="crmops loadtests probes dq_checks alerts playbooks exporter console refcrm"
failed=

format() { ruff format --check --quiet .; }
lint() { ruff check --quiet .; }
types() {
    # shellcheck disable=SC2046,SC2086  # lists of words
    mypy $packages scripts tests $(ls bench/*.py 2>/dev/null)
}
contracts() { lint-imports --no-logo; }
yaml() { listed '*.yaml' '*.yml' | xargs -0 -r yamllint --strict --; }
ansible() { ansible-lint -q playbooks; }
rules() { crmops alerts test; }  # promtool check and test, over the rules as they are shipped
# The tests are full of planted misspellings, and the locks of hashes.
spelling() { listed ':!tests' ':!requirements' ':!*.po' ':!*/vendor/*' | xargs -0 codespell; }
listed() { git ls-files -z --cached --others --exclude-standard -- "$@"; }

for check in ${*:-format lint types contracts yaml ansible rules spelling}; do
    printf '== %s\n' "$check"
    begun=$(date +%s)
    if "$check"; then
        printf '   ok (%s s)\n' "$(($(date +%s) - begun))"
    else
        failed="$failed $check"
        printf '   FAILED: %s\n' "$check"
    fi
done
if [ -n "$failed" ]; then
    printf '\ncheck: failed:%s\n' "$failed"
    exit 1
fi
printf '\ncheck: all passed\n'
