# Runs suites, adds up what they report, and leaves no process behind.

# Every process that a suite starts inherits this mark, however it detaches itself: what still has it at the end is ours to end.
mark=PORTCULLIS_TEST_RUN=run-$$-$RANDOM$RANDOM
total_passed=0 total_failed=0
logs=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-tests.XXXXXX")

suites() { for each in "$tests"/*/run; do basename "$(dirname "$each")"; done; }

ours() {
  local file pid
  for file in /proc/[0-9]*/environ; do
    pid=${file#/proc/}; pid=${pid%/environ}
    { grep -qzxF "$mark" "$file"; } 2>/dev/null && echo "$pid"
  done
}

end_ours() {
  local pids signal
  for signal in TERM TERM KILL; do
    pids=$(ours); [ -n "$pids" ] || return 0
    kill -"$signal" $pids 2>/dev/null
    for _ in 1 2 3 4 5 6 7 8 9 10; do [ -n "$(ours)" ] || return 0; sleep 0.2; done
  done
}

finish() { trap - EXIT INT TERM HUP; end_ours; rm -rf "$logs"; }
trap finish EXIT
trap 'echo "interrupted" >&2; finish; exit 130' INT TERM HUP

# suite NAME ARGUMENTS...: its own last line says how it went; without one, it failed.
suite() {
  local name=$1; shift
  say "suite $name $*"
  local log=$logs/$name started=$SECONDS status=1
  if [ -x "$tests/$name/run" ]; then
    exec {shown}> >(tee "$log"); local tee=$!
    # A whole run keeps what became of each test: the suite `oauth` reads it.
    local results=(); [ -z "${PORTCULLIS_RESULTS:-}" ] || results=("PYTEST_ADDOPTS=--junitxml=$PORTCULLIS_RESULTS/$name.xml")
    env "$mark" "${results[@]}" "$tests/$name/run" "$@" >&$shown 2>&1 {shown}>&- &
    wait $!; status=$?
    end_ours
    exec {shown}>&-; wait "$tee"
  else
    echo "the suite's folder tests/$name has no executable 'run'" | tee "$log"
  fi
  local counts passed=0 failed=1
  counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -1)
  [ -z "$counts" ] || read -r passed _ failed _ <<<"$counts"
  if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
    echo "the suite $name ended with status $status"
    failed=1
  fi
  if [ "$passed" -eq 0 ] && [ "$failed" -eq 0 ]; then
    echo "the suite $name ran nothing"
    failed=1
  fi
  total_passed=$((total_passed + passed)) total_failed=$((total_failed + failed))
  report+="$(printf '%-12s %5s passed, %s failed   %4ss' "$name" "$passed" "$failed" $((SECONDS - started)))"$'\n'
}

# The report of every suite, then the plain total.
total() {
  if [ "$(wc -l <<<"$report")" -gt 2 ]; then printf '\n== total\n%s' "$report"; fi
  # `bench --json` promises a JSON object as its last line: with one suite, that suite's own last line stands.
  if [ "$(wc -l <<<"$report")" -gt 2 ]; then echo "$total_passed passed, $total_failed failed"; fi
  [ "$total_failed" -eq 0 ]
}
