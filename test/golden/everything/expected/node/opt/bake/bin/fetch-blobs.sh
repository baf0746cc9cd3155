#!/bin/bash
# Files by their digest from a mirror, several at a time: each has its name once its bytes are the right ones and on the disk, and
# what was cut off is gone on with. bake-models and bake-images read this file.
# They set `parts`, the folder of what has not all come yet, `work`, a folder of this run alone, `progress`, the file that says how far
# it is, `connections`, `retry_seconds` and `progress_seconds`; and have `say`, `wrong`, and `blob_of SHA256`: where that one lies.
# A list has sha256, size and a name for messages a line.
# shellcheck disable=SC2154 # Whoever reads this file sets them.

human() { numfmt --to=iec-i --suffix=B "$1"; }
# By openssl where it works, which is several times as fast as a sha256sum that is built without it, as Debian's and EulerOS's are.
digest() { if openssl dgst -sha256 -r </dev/null 2>/dev/null | grep -q ^e3b0c442; then openssl dgst -sha256 -r; else sha256sum; fi | cut -d ' ' -f 1; }

# Bytes of all files of LIST, and what of them is there in parts.
wanted_bytes() { awk -F '\t' '{ sum += $2 } END { printf("%.0f", sum) }' "$1"; }
parts_bytes() {
  cut -f 1 "$1" | (cd "$parts" 2>/dev/null && xargs -r stat -c %s 2>/dev/null) | awk '{ sum += $1 } END { printf("%.0f", sum) }'
}

# One file, until its bytes are the right ones. What was there when the power went is gone on with; when that turns out wrong it
# is fetched once more from its beginning.
fetch_file() {
  local url=$1 sha256=$2 size=$3 name=$4 part=$parts/$2 headers=$work/$2.headers said=$work/$2.said
  local have now status code found tries=0 resumed='' blob
  blob=$(blob_of "$sha256")
  while :; do
    have=$(stat -c %s "$part" 2>/dev/null || echo 0)
    if [ "$have" -gt "$size" ]; then
      rm -f "$part"
      have=0
    fi
    if [ "$have" = 0 ]; then : >"$part"; else resumed=yes; fi
    now=$have
    if [ "$have" -lt "$size" ]; then
      : >"$headers"
      # A mirror that sends more than that is cut off.
      curl --silent --show-error --fail --location --globoff --connect-timeout 30 --speed-limit 1024 --speed-time 60 \
        --continue-at "$have" --dump-header "$headers" "$url/sha256/${sha256:0:2}/${sha256:2}" 2>"$said" |
        head -c $((size - have + 1)) >>"$part" 2>>"$said"
      status=("${PIPESTATUS[@]}")
      code=$(awk '/^HTTP\// { code = $2 } END { print code + 0 }' "$headers")
      now=$(stat -c %s "$part")
      if [ "${status[1]}" != 0 ]; then
        wrong "$name cannot be written: $(tail -n 1 "$said")"
        return 1
      elif [ "$now" -gt "$size" ]; then
        rm -f "$part"
        wrong "$name: the mirror has more than the $size bytes that the lock names"
        return 1
      elif [ "${status[0]}" = 33 ] && [ "$tries" -lt 5 ]; then
        # A mirror that cannot begin in the middle.
        rm -f "$part"
        tries=$((tries + 1))
        continue
      elif [ "$now" -lt "$size" ]; then
        case $code in
          416)
            rm -f "$part"
            wrong "$name: the mirror has fewer than the $size bytes that the lock names"
            return 1
            ;;
          401 | 403 | 404 | 410)
            wrong "$name is not in the mirror ($url, HTTP $code): fill it with bake fetch --to"
            return 1
            ;;
        esac
        # The same, of a folder.
        if [ "${status[0]}" = 37 ]; then
          wrong "$name is not in $url"
          return 1
        fi
        if [ $((now - have)) -ge 1048576 ]; then tries=0; fi
        tries=$((tries + 1))
        if [ "$tries" -gt 5 ]; then
          [ "$code" != 0 ] || : >"$work/silent"
          wrong "$name: $now of $size bytes, and no more come from $url: $(tail -n 1 "$said" | grep . || echo "it ends there")"
          return 1
        fi
        sleep $((tries * retry_seconds))
        continue
      fi
    fi
    found=$(digest <"$part")
    if [ "$found" = "$sha256" ]; then
      mkdir -p "${blob%/*}"
      # On the disk before it has its name.
      sync "$part" && mv -T "$part" "$blob" || return 1
      echo "$size" >>"$work/done"
      return 0
    fi
    rm -f "$part"
    if [ -z "$resumed" ]; then
      wrong "$name: the mirror has other bytes: expected sha256 $sha256, found $found"
      return 1
    fi
    resumed=''
  done
}

# Bytes, rate and what is left of the time, to the console and for bake-status, as long as the fetch lives.
tell_progress() {
  local list=$1 total begin now before rate left line
  total=$(wanted_bytes "$list")
  begin=$(parts_bytes "$list")
  before=$begin
  SECONDS=0
  while sleep "$progress_seconds" >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
    now=$(($(awk '{ sum += $1 } END { printf("%.0f", sum) }' "$work/done") + $(parts_bytes "$list")))
    rate=$(((now - begin) / (SECONDS > 0 ? SECONDS : 1)))
    left='time left unknown'
    [ "$rate" -le 0 ] || left="$(((total - now) / rate / 60)) min left"
    line="$(human "$now") of $(human "$total"), $(human "$((rate > 0 ? rate : 0))")/s, $left"
    echo "$line" >"$progress.new" && mv "$progress.new" "$progress"
    [ "$now" = "$before" ] || say "$line"
    before=$now
  done
}

# fetch_all URL LIST: the largest are best the first ones. What did not come is in $work/failed, by its sha256; $work/silent is there
# when a file got no answer at all.
fetch_all() {
  local url=$1 list=$2 sha256 size name running=0 started=0 told ticker
  : >"$work/done"
  rm -f "$work/failed" "$work/silent"
  # Whoever holds a lock holds it until the last part is written, and no longer.
  tell_progress "$list" 9>&- &
  ticker=$!
  # It is none of those that are waited for: of several that are killed at once bash tells the first, and would wait for this one.
  disown "$ticker"
  while IFS=$'\t' read -r sha256 size name; do
    # A mirror that is down is not asked for everything.
    [ "$(wc -l 2>/dev/null <"$work/failed" || echo 0)" -lt "$connections" ] || break
    if [ "$running" -ge "$connections" ]; then
      wait -n
      running=$((running - 1))
    fi
    { fetch_file "$url" "$sha256" "$size" "$name" || echo "$sha256" >>"$work/failed"; } </dev/null &
    running=$((running + 1)) started=$((started + 1))
  done <"$list"
  while [ "$running" -gt 0 ]; do
    wait -n
    running=$((running - 1))
  done
  kill "$ticker" 2>/dev/null
  while kill -0 "$ticker" 2>/dev/null; do sleep 0.1; done
  rm -f "$progress"
  told=$(cat "$work/done" "$work/failed" 2>/dev/null | wc -l)
  if [ "$told" -lt "$started" ]; then
    wrong "$((started - told)) fetches were killed: dmesg says whether memory ran out"
    echo killed >>"$work/failed"
  fi
}
