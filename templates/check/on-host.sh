# Looks at a host over ssh and leaves nothing behind. `bash -s` reads from standard input: settings (FILES, LEVELS,
# DEADLINE, LIMIT), this text, and then data: the files that FILES names with their sizes, and commands to the end.
# One folder of its own, below /run where that can hold programs, is removed however this ends; a connection that drops
# is noticed within seconds. Prints for each level of checks and for each command: name, exit status, output as base64.

# shellcheck disable=SC2317 # called by a trap
cleanup() {
  [ -z "$running" ] || kill -KILL -- "-$running" 2>/dev/null
  [ -z "$heart" ] || kill "$heart" 2>/dev/null
  [ -z "$folder" ] || rm -rf -- "$folder"
}

# A place where a program can be run: /tmp and /run may be mounted noexec.
make_folder() {
  local place
  for place in /run /tmp /var/tmp; do
    folder=$(mktemp -d "$place/bake-check.XXXXXXXX" 2>/dev/null) || continue
    printf '#!/bin/sh\n' >"$folder/try" && chmod 0700 "$folder/try" && "$folder/try" 2>/dev/null && return 0
    rm -rf -- "$folder"
  done
  folder=
  echo "no folder below /run, /tmp or /var/tmp in which a program can be run" >&2
  return 1
}

receive() {
  local entry
  for entry in $FILES; do
    head -c "${entry#*:}" >"$folder/${entry%:*}" || return 1
    [ "$(stat -c %s "$folder/${entry%:*}")" = "${entry#*:}" ] || return 1
  done
  [ ! -e "$folder/goss.gz" ] || { gzip -d "$folder/goss.gz" && chmod 0700 "$folder/goss"; }
}

# Runs a command in a process group of its own, not longer than $2 seconds and not beyond the deadline, and prints what
# came of it under the name $1. Whatever it leaves behind is killed: goss leaves commands that ran into their time-out.
run() {
  local name=$1 seconds=$2 left=$((DEADLINE - SECONDS)) status
  shift 2
  [ "$left" -ge 1 ] || left=1
  [ "$seconds" -le "$left" ] || seconds=$left
  timeout -k 5 "$seconds" "$@" >"$folder/out" 2>"$folder/err" </dev/null &
  running=$!
  wait "$running"
  status=$?
  kill -KILL -- "-$running" 2>/dev/null
  running=
  printf '%s\t%s\t%s\t%s\n' "$name" "$status" "$(head -c "$LIMIT" "$folder/out" | base64 -w 0)" \
    "$(head -c 20000 "$folder/err" | base64 -w 0)" || exit 141
}

main() {
  local level name seconds command
  set -uo pipefail
  export HOME=/root LC_ALL=C
  PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
  umask 077
  folder='' heart='' running=''
  trap cleanup EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 141' PIPE
  trap 'exit 143' TERM
  make_folder || exit 3
  (
    trap '' PIPE
    while sleep 2 >/dev/null 2>&1; do
      printf '\n' >&2 || {
        kill -TERM "$$"
        break
      }
    done
  ) &
  heart=$!
  receive || {
    echo "what was sent did not arrive whole" >&2
    exit 4
  }
  # buildx takes locks and keeps notes in its folder: it gets a copy.
  mkdir "$folder/buildx"
  [ ! -d /root/.docker/buildx ] || cp -a /root/.docker/buildx/. "$folder/buildx"
  export BUILDX_CONFIG=$folder/buildx
  for level in $LEVELS; do
    # A few at once: fifty clients of Docker, as by default, would run into their time-outs together on a busy host.
    run "$level" "$DEADLINE" "$folder/goss" --gossfile "$folder/$level.yaml" validate --format json --no-color \
      --max-concurrent 4
  done
  while IFS=$'\t' read -r name seconds command; do
    run "$name" "$seconds" bash -c "$(printf %s "$command" | base64 -d)"
  done
}

# One line: what follows it is data.
main; exit
