#!/bin/bash
# Runs in the build VM, from provision.sh: what the base brings that would change what bake lays is set aside, left out, or
# ends the bake; each is said. Usage: base-leftovers.sh FOLDER runtime|node: what is about Docker alone, or the rest.
set -euo pipefail
upload=$1 stage=$2
work=$(mktemp -d /var/tmp/bake-provision.XXXXXX)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "bake: failed $*" >&2
  exit 1
}

# set_aside PATH WHY: out of the way, where it can be looked at.
set_aside() {
  [ -e "$1" ] || [ -L "$1" ] || return 0
  rm -rf "/opt/bake/base$1"
  install -d -m 0755 "/opt/bake/base${1%/*}"
  mv "$1" "/opt/bake/base$1"
  echo "bake: $1 of the base is now /opt/bake/base$1: $2"
}
if [ "$stage" = runtime ]; then
  set_aside /etc/containerd/config.toml "it would change where and how containerd keeps images"
  while read -r binary; do
    for folder in /usr/local/bin /usr/local/sbin; do
      set_aside "$folder/$binary" "it would stand before the one in /usr/bin"
    done
  done <"$upload/docker-binaries.txt"
  exit 0
fi
for unit in "$upload"/node/etc/systemd/system/*; do
  for folder in /etc/systemd/system.control /etc/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
    set_aside "$folder/${unit##*/}.d" "it would change a unit of bake"
  done
done
# Another value for what bake sets would count in one order of reading or another.
for file in /etc/sysctl.conf /etc/sysctl.d/*.conf /usr/local/lib/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf /lib/sysctl.d/*.conf; do
  if [ ! -f "$file" ] || [ -L "$file" ] || [ -e "$upload/node$file" ]; then continue; fi
  awk '
    function key_of(text) { sub(/=.*/, "", text); gsub(/^[ \t]*-?|[ \t]+$/, "", text); gsub("/", ".", text); return text }
    function value_of(text) { sub(/^[^=]*=/, "", text); gsub(/^[ \t]+|[ \t]+$/, "", text); return text }
    FILENAME != last { if ($0 !~ /^[ \t]*[#;]/ && /=/) ours[key_of($0)] = value_of($0); next }
    $0 !~ /^[ \t]*[#;]/ && /=/ && key_of($0) in ours && value_of($0) != ours[key_of($0)] { $0 = "# bake sets it: " $0 }
    { print }
  ' last="$file" "$upload"/node/etc/sysctl.d/*.conf "$file" >"$work/sysctl"
  cmp -s "$work/sysctl" "$file" && continue
  { diff "$file" "$work/sysctl" || true; } | sed -n "s|^< |bake: $file of the base, now a comment: |p"
  cat "$work/sysctl" >"$file"
done

# The zeroconf route of the last card would lead away from the metadata service. The last such line counts.
if [ -d /etc/sysconfig/network-scripts ] && ! grep -qsx 'NOZEROCONF=yes' /etc/sysconfig/network; then
  [ -e /etc/sysconfig/network ] || install -m 0644 /dev/null /etc/sysconfig/network
  echo 'NOZEROCONF=yes' >>/etc/sysconfig/network
  echo "bake: /etc/sysconfig/network: NOZEROCONF=yes"
fi

# The base's git settings stay, but for rules that rewrite what bake's rewrites: of two the first read counts (guide row G13).
# And but for headers: they are secrets, and come with user-data.
each_git_entry() { git config --null --file "$1" --get-regexp "$2" 2>/dev/null || true; }
# clean_git_config COPY PLACE
clean_git_config() {
  local copy=$1 place=$2 entry key value
  git config --file "$copy" --list >/dev/null 2>"$work/said" ||
    fail "$place of the base is no git configuration ($(sed "s|$copy|$place|" "$work/said" | tail -n 1)): mend it in the base"
  while IFS= read -r -d '' entry; do
    key=${entry%%$'\n'*} value=${entry#*$'\n'}
    grep -qxF -e "$value" "$work/rewritten" || continue
    echo "bake: $place of the base: $key = $value is left out: bake's rule rewrites the same"
    # As a regular expression of git's.
    # shellcheck disable=SC2001
    git config --file "$copy" --unset-all "$key" "^$(sed 's/[][(){}.*+?^$|\\]/\\&/g' <<<"$value")\$" || fail "$place: $key cannot be left out"
  done < <(each_git_entry "$copy" '^url\..*\.insteadof$')
  while IFS= read -r key; do
    echo "bake: $place of the base: $key is left out: headers come with user-data"
    git config --file "$copy" --unset-all "$key" || fail "$place: $key cannot be left out"
  done < <(git config --file "$copy" --name-only --get-regexp '^http\..*extraheader$' | sort -u)
}
for file in /etc/gitconfig /root/.gitconfig; do
  [ ! -e "$upload/node$file" ] || each_git_entry "$upload/node$file" '^url\..*\.insteadof$' | tr '\0' '\n' | sed -n 'n;p'
done >"$work/rewritten"
for file in /etc/gitconfig /root/.gitconfig /root/.config/git/config; do
  [ -s "$file" ] || continue
  # An earlier bake's part is not the base's.
  sed '/^# Made by bake from profile /,/^# End of what bake made/d' "$file" >"$work/gitconfig"
  clean_git_config "$work/gitconfig" "$file"
  cmp -s "$work/gitconfig" "$file" || cat "$work/gitconfig" >"$file"
  if [ -e "$upload/node$file" ]; then
    # bake's part last: of two values the last one counts.
    { cat "$file" && { [ -z "$(tail -c 1 "$file")" ] || echo; } && cat "$upload/node$file"; } >"$work/merged"
    cp "$work/merged" "$upload/node$file"
  fi
done
# Files that these include are the base's own.
while IFS= read -r url; do
  mapfile -t rules < <(HOME=/root git config --get-regexp '^url\..*\.insteadof$' | awk -v url="$url" '$2 == url { print $1 }')
  [ "${#rules[@]}" -eq 0 ] || fail "git of the base rewrites $url by ${rules[*]} in a file that its configuration includes: remove the rule there"
done < <(grep . "$work/rewritten")
