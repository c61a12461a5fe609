#!/usr/bin/env bash
# The web stage of CI: installs what it needs, checks, builds and tests the Next.js module. Closes with "N passed, N failed".
# HFDMD_PYTHON: a Python that has hfdmd installed (default: the repository's .venv).
set -uo pipefail
cd "$(dirname "$0")"
export NEXT_TELEMETRY_DISABLED=1 CI=true

passed=0
failed=0

step() { # step NAME COMMAND...
  local name=$1 start=$SECONDS
  shift
  echo "--- $name"
  if "$@"; then
    passed=$((passed + 1))
    echo "--- $name: ok, $((SECONDS - start)) s"
  else
    failed=$((failed + 1))
    echo "--- $name: FAILED, $((SECONDS - start)) s"
    return 1
  fi
}

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
  exit
}

chromium() {
  if [ -x "${CHROMIUM:-/usr/bin/chromium}" ]; then return; fi
  local log as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" apt-get install -y --no-install-recommends chromium fonts-dejavu-core; } >"$log" 2>&1; then
    tail -n 20 "$log"
    rm "$log"
    return 1
  fi
  rm "$log"
}

unit() {
  local result status
  result=$(mktemp)
  npx vitest run --reporter=default --reporter=json --outputFile.json="$result"
  status=$?
  count "$(node -p "const r = JSON.parse(require('fs').readFileSync('$result')); r.numPassedTests + ' passed, ' + r.numFailedTests + ' failed'")"
  rm "$result"
  return $status
}

browser() {
  local log status
  log=$(mktemp)
  npm run --silent test:browser 2>&1 | tee "$log" | grep -vE '^[0-9]+ passed, [0-9]+ failed$'
  status=${PIPESTATUS[0]}
  count "$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)"
  rm "$log"
  return "$status"
}

count() { # count "N passed, N failed": the tests of a step, beside the step itself
  if [[ $1 =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
  fi
}

step "chromium" chromium
step "npm ci" npm ci --no-audit --no-fund --loglevel=error || finish
step "types are those of openapi.json" npm run --silent check:types
step "format" npm run --silent check:format
step "typecheck" npm run --silent typecheck
step "build" npm run --silent build || finish
step "package" npm run --silent check:package
step "size" npm run --silent check:size
step "unit tests" unit
step "example" npm run --silent example:build || finish
step "browser tests" browser
step "init in a fresh app" npm run --silent compat -- "next-15 react-19"
finish
