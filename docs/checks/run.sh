#!/usr/bin/env bash
# Runs the checks against real receivers: `docs/checks/run.sh [phoenix|receiver|markdown]...`, all of them by default.
#
# It makes a Python environment with what the checks need, once, in $FLOWMETER_CHECKS_VENV (default: below the
# target folder), builds the release binary unless FLOWMETER_BIN names one, and starts nothing that outlives it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
environments=${FLOWMETER_CHECKS_VENV:-$target/checks}

# What each check needs from PyPI.
declare -A needs=(
  [phoenix]="arize-phoenix"
  [receiver]="opentelemetry-proto grpcio"
  [markdown]="pflow-cli==0.16.0"
)

checks=("$@")
[ ${#checks[@]} -gt 0 ] || checks=(receiver phoenix markdown)
for check in "${checks[@]}"; do
  if [ -z "${needs[$check]:-}" ]; then
    echo "there is no check \`$check\`; there are: ${!needs[*]}" >&2
    exit 2
  fi
done

if [ -z "${FLOWMETER_BIN:-}" ]; then
  (cd "$root" && cargo build --release -p flowmeter-cli)
  export FLOWMETER_BIN=$target/release/flowmeter
fi

failed=()
for check in "${checks[@]}"; do
  environment=$environments/$check
  if [ ! -e "$environment/ready" ]; then
    echo "installing ${needs[$check]} into $environment" >&2
    python3 -m venv "$environment"
    # The words are several packages on purpose.
    # shellcheck disable=SC2086
    "$environment/bin/pip" install --quiet --disable-pip-version-check ${needs[$check]}
    touch "$environment/ready"
  fi
  echo "== $check"
  "$environment/bin/python" -B "$here/check_$check.py" || failed+=("$check")
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}" >&2
  exit 1
fi
