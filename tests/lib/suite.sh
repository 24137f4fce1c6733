# Runs suites, adds up what they report, and leaves no process behind.

# Every process that a suite starts inherits a mark, however it detaches itself: what still has the mark at the end is terminated.
run_id=run-$$-$RANDOM$RANDOM
logs=$(mktemp -d "${TMPDIR:-/tmp}/portcullis-tests.XXXXXX")

suites() { for each in "$tests"/*/run; do basename "$(dirname "$each")"; done; }

# marked NAME: the processes of a suite; without a name, of all suites.
marked() {
  local mark=PORTCULLIS_TEST_RUN=$run_id-$1
  [ -n "$1" ] && mark+='$'
  grep -lzE "^$mark" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3
}

# end_marked NAME: first politely.
end_marked() {
  local pids signal
  for signal in TERM TERM KILL; do
    pids=$(marked "$1"); [ -n "$pids" ] || return 0
    kill -"$signal" $pids 2>/dev/null
    for _ in 1 2 3 4 5 6 7 8 9 10; do [ -n "$(marked "$1")" ] || return 0; sleep 0.2; done
  done
}

finish() {
  trap - EXIT INT TERM HUP
  local lanes; lanes=$(jobs -p); [ -z "$lanes" ] || kill $lanes 2>/dev/null
  end_marked ""
  rm -rf "$logs"
}
trap finish EXIT
trap 'echo "interrupted" >&2; finish; exit 130' INT TERM HUP

# suite NAME ARGUMENTS...: its own last line gives its result. Without one, it failed. With LANE set, its lines begin with its name.
suite() {
  local name=$1; shift
  say "suite $name $*"
  local log=$logs/$name.log started=$SECONDS status=1
  if [ -x "$tests/$name/run" ]; then
    local environment=("PORTCULLIS_TEST_RUN=$run_id-$name" "PYTEST_ADDOPTS=--durations=5 --durations-min=3")
    # A whole run keeps the outcome of each test: the suite `oauth` reads it.
    [ -z "${PORTCULLIS_RESULTS:-}" ] || environment[1]+=" --junitxml=$PORTCULLIS_RESULTS/$name.xml"
    exec {shown}> >(tee "$log" | if [ -n "${LANE:-}" ]; then sed -u "s/^/$name | /"; else cat; fi); local tee=$!
    env "${environment[@]}" "$tests/$name/run" "$@" >&$shown 2>&1 {shown}>&- &
    wait $!; status=$?
    end_marked "$name"
    exec {shown}>&-; wait "$tee"
  else
    echo "the suite's folder tests/$name has no executable 'run'" | tee "$log"
  fi
  result "$name" "$status" $((SECONDS - started)) > "$logs/$name.result"
}

# side_by_side "NAME ARGUMENTS..."...: runs suites in this order, two at a time.
side_by_side() {
  local each ended pid left running=()
  for each in "$@"; do
    if [ ${#running[@]} -ge 2 ]; then
      wait -n -p ended "${running[@]}"
      left=()
      for pid in "${running[@]}"; do [ "$pid" = "$ended" ] || left+=("$pid"); done
      running=("${left[@]}")
    fi
    LANE=yes suite $each & running+=($!)
  done
  wait "${running[@]}"
}

# result NAME STATUS SECONDS: "PASSED FAILED SECONDS", from the suite's log.
result() {
  local counts passed=0 failed=1
  counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$logs/$1.log" | tail -1)
  [ -z "$counts" ] || read -r passed _ failed _ <<<"$counts"
  if [ "$2" -ne 0 ] && [ "$failed" -eq 0 ]; then
    echo "the suite $1 ended with status $2" >&2
    failed=1
  fi
  if [ "$passed" -eq 0 ] && [ "$failed" -eq 0 ]; then
    echo "the suite $1 ran nothing" >&2
    failed=1
  fi
  echo "$passed $failed $3"
}

# failures NAME: what a suite printed about its failed tests, so that the end of a long output says which they are.
failures() {
  grep -aE '^(FAILED|ERROR|not ok)\b|(\.\.\.| ) FAILED( |$)|DID NOT RUN' "$logs/$1.log" 2>/dev/null | cut -c1-400 | sort -u | head -20 | sed "s/^/$1 | /"
}

# The result of every suite, then the plain total. A suite that left no result failed.
total() {
  local name passed failed seconds all_passed=0 all_failed=0
  [ $# -eq 1 ] || for name in "$@"; do failures "$name"; done
  [ $# -eq 1 ] || printf '\n== total\n'
  for name in "$@"; do
    read -r passed failed seconds < <(cat "$logs/$name.result" 2>/dev/null || echo "0 1 0")
    [ $# -eq 1 ] || printf '%-12s %5s passed, %s failed   %4ss\n' "$name" "$passed" "$failed" "$seconds"
    all_passed=$((all_passed + passed)) all_failed=$((all_failed + failed))
  done
  # `bench --json` promises a JSON object as its last line: with one suite, that suite's own last line stands.
  [ $# -eq 1 ] || { printf 'whole run: %s min\n' "$((SECONDS / 60))"; echo "$all_passed passed, $all_failed failed"; }
  [ "$all_failed" -eq 0 ]
}
