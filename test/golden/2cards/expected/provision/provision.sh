#!/bin/bash
# Runs in the build VM: fetches every artifact by content address, compares its hash, installs it, lays the node's files
# down and enables its units. Usage: provision.sh FOLDER, with BAKE_ARTIFACTS=http://… in the environment.
set -euo pipefail
upload=$1
work=$(mktemp -d /var/tmp/bake-provision.XXXXXX)
trap 'rm -rf "$work"' EXIT

step() { echo "bake: step $*"; }
fail() {
  echo "bake: failed $*" >&2
  exit 1
}

# fetch NAME SHA256 TARGET: the bytes count, not where they came from.
fetch() {
  local name=$1 sha256=$2 target=$3 found
  curl --fail --silent --show-error --retry 3 --connect-timeout 30 --speed-limit 1024 --speed-time 60 --output "$target" \
    "$BAKE_ARTIFACTS/sha256/${sha256:0:2}/${sha256:2}" || fail "artifact $name could not be fetched"
  found=$(sha256sum "$target")
  [ "${found%% *}" = "$sha256" ] ||
    fail "artifact $name does not match its digest: expected sha256 $sha256, found ${found%% *}"
}

install_docker_static() {
  local archive=$1 binary
  tar --extract --gzip --no-same-owner --file "$archive" --directory "$work"
  while read -r binary; do
    install -o root -g root -m 0755 "$work/docker/$binary" "/usr/bin/$binary"
  done <"$upload/docker-binaries.txt"
  rm -rf "$work/docker"
  getent group docker >/dev/null || groupadd --system docker
}

install_buildx() { install -D -o root -g root -m 0700 "$1" /root/.docker/cli-plugins/docker-buildx; }

install_buildkite_agent() {
  mkdir "$work/agent"
  tar --extract --gzip --no-same-owner --file "$1" --directory "$work/agent"
  install -D -o root -g root -m 0755 "$work/agent/buildkite-agent" /root/.buildkite-agent/bin/buildkite-agent
  rm -rf "$work/agent"
}

install_goss() { install -D -o root -g root -m 0755 "$1" /opt/bake/bin/goss; }

# The base's own package manager. dnf and yum have the same names for what is needed here.
if command -v apt-get >/dev/null; then
  family=apt manager=(apt-get -q --yes --no-install-recommends -o Dpkg::Use-Pty=0)
elif command -v dnf >/dev/null; then
  family=dnf manager=(dnf -q --assumeyes)
elif command -v yum >/dev/null; then
  family=dnf manager=(yum -q --assumeyes)
else
  fail "no way to install packages: neither apt-get nor dnf nor yum is there"
fi
export DEBIAN_FRONTEND=noninteractive

installed() {
  case $family in
    apt) [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
    dnf) rpm -q "$1" >/dev/null 2>&1 ;;
  esac
}
# listed ACTION: the packages of this family.
listed() { awk -F '\t' -v action="$1" -v family="$family" '$1 == action && $2 == family { print $3 }' "$upload/packages.tsv"; }

step packages
[ -r "$upload/packages.tsv" ] || fail "$upload/packages.tsv is not there"
unwanted=()
while read -r name; do
  if installed "$name"; then unwanted+=("$name"); fi
done < <(listed remove)
if [ "${#unwanted[@]}" -gt 0 ]; then
  echo "bake: remove ${unwanted[*]}"
  "${manager[@]}" remove "${unwanted[@]}" || fail "these packages could not be removed: ${unwanted[*]}"
fi
missing=()
while read -r name; do
  if ! installed "$name"; then missing+=("$name"); fi
done < <(listed install)
if [ "${#missing[@]}" -gt 0 ]; then
  echo "bake: install ${missing[*]}"
  # The base's own lists may do; fresh ones need a mirror.
  "${manager[@]}" install "${missing[@]}" ||
    { [ "$family" = apt ] && apt-get -q update && "${manager[@]}" install "${missing[@]}"; } ||
    fail "these packages could not be installed: ${missing[*]}"
fi
# The drivers of the NPUs fit one kernel: no update may change it.
mapfile -t held < <(listed hold)
case ${held[0]+$family} in
  apt)
    mapfile -t held < <(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "${held[@]}" 2>/dev/null | sed -n 's/^ii //p')
    [ -z "${held[0]+there}" ] || apt-mark hold "${held[@]}" >/dev/null
    ;;
  dnf)
    for file in /etc/dnf/dnf.conf /etc/yum.conf; do
      [ -e "$file" ] || continue
      # Of two such lines the last one counts: there must be one.
      if grep -Eq '^exclude *=.*kernel' "$file"; then
        continue
      elif grep -Eq '^exclude *=' "$file"; then
        sed -Ei "s/^(exclude *=.*)/\1 ${held[*]}/" "$file"
      else
        sed -i "/^\[main\]/a exclude=${held[*]}" "$file"
      fi
    done
    ;;
esac

step install-artifacts
while IFS=$'\t' read -r kind name sha256 path mode; do
  echo "bake: artifact $name"
  if [ "$kind" = image-blob ] || [ "$kind" = file ]; then
    # What an attempt before this one has fetched whole stays.
    if [ -f "$path" ] && [ "$(sha256sum <"$path")" = "$sha256  -" ]; then
      chmod "$mode" "$path"
      continue
    fi
    # A folder that is there keeps its mode.
    folder=${path%/*}
    [ -d "${folder:-/}" ] || install -d -m 0755 "$folder"
    fetch "$name" "$sha256" "$path.new"
    chmod "$mode" "$path.new"
    mv "$path.new" "$path"
    continue
  fi
  fetch "$name" "$sha256" "$work/artifact"
  case $kind in
    docker-static) install_docker_static "$work/artifact" ;;
    buildx) install_buildx "$work/artifact" ;;
    buildkite-agent) install_buildkite_agent "$work/artifact" ;;
    goss) install_goss "$work/artifact" ;;
    *) fail "no way to install artifact $name of kind $kind" ;;
  esac
  rm -f "$work/artifact"
done <"$upload/artifacts.tsv"

# Keys that are already there stay, such as the runtimes of Ascend's installer; ours win (guide row G21).
merge_json() {
  python3 - "$1" "$2" <<'PYTHON'
import io, json, sys
def merge(there, ours):
    for key, value in ours.items():
        both = isinstance(value, dict) and isinstance(there.get(key), dict)
        there[key] = merge(there[key], value) if both else value
    return there
there, ours = (json.load(io.open(path, encoding="utf-8")) for path in sys.argv[1:3])
json.dump(merge(there, ours), sys.stdout, indent=2)
PYTHON
}

step install-files
if [ -s /etc/docker/daemon.json ]; then
  merge_json /etc/docker/daemon.json "$upload/node/etc/docker/daemon.json" >"$work/daemon.json" ||
    fail "/etc/docker/daemon.json of the base is no JSON object: mend it in the base"
  cp "$work/daemon.json" "$upload/node/etc/docker/daemon.json"
fi
while IFS=$'\t' read -r mode path; do
  install -D -o root -g root -m "$mode" "$upload/node$path" "$path"
done <"$upload/files.tsv"
while IFS=$'\t' read -r mode path; do
  install -d -o root -g root -m "$mode" "$path"
done <"$upload/directories.tsv"
# `sysctl -p`, `sysctl --system` and network scripts read /etc/sysctl.conf after all others: a line of the base that says otherwise
# than the node's kernel settings would undo them while jobs run. That line alone is changed.
if [ -e /etc/sysctl.conf ]; then
  while IFS=' =' read -r name value; do
    names=$name
    # Two names of one setting.
    [ "$name" != net.ipv4.ip_forward ] || names='net.ipv4.ip_forward|net.ipv4.conf.all.forwarding'
    line="^([[:space:]]*-?[[:space:]]*(${names//./[./]})[[:space:]]*=[[:space:]]*)"
    if other=$(grep -E "$line" /etc/sysctl.conf | grep -Ev "${line}${value}[[:space:]]*$"); then
      echo "bake: /etc/sysctl.conf of the base says ${other//$'\n'/, }: it says $value now"
      sed -Ei --follow-symlinks "s%$line.*%\\1$value%" /etc/sysctl.conf
    fi
  done < <(grep -v '^#' "$upload/node/etc/sysctl.d/99-zz-bake.conf")
fi
# What an operator types is on PATH, also under sudo.
ln -sf /opt/bake/bin/bake-status /opt/bake/bin/bake-override /opt/bake/bin/bake-token /usr/bin/
# One line for the data disk; a line of an earlier bake is replaced, every other line stays.
# A new file in its place: a power cut leaves the old one or the new one, and a last line without an end is one all the same.
[ -e /etc/fstab ] || : >/etc/fstab
{ grep -v 'x-systemd.requires=bake-storage.service' /etc/fstab || true; } | cat - "$upload/fstab" >/etc/fstab.bake
chmod --reference=/etc/fstab /etc/fstab.bake
sync /etc/fstab.bake
mv /etc/fstab.bake /etc/fstab

step enable-units
mapfile -t units <"$upload/units.txt"
# The image is shut down next: nothing needs this manager to read the units again.
systemctl --no-reload --quiet enable "${units[@]}"
