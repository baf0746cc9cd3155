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
  curl --fail --silent --show-error --retry 3 --output "$target" \
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

step install-artifacts
while IFS=$'\t' read -r kind name sha256; do
  echo "bake: artifact $name"
  if [ "$kind" = container-image ]; then
    install -d -m 0755 /opt/bake/images
    fetch "$name" "$sha256" "/opt/bake/images/$sha256.tar"
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
there, ours = (json.load(io.open(path, encoding="utf-8")) for path in sys.argv[1:3])
there.update(ours)
json.dump(there, sys.stdout, indent=2)
PYTHON
}

step install-files
if [ -s /etc/docker/daemon.json ]; then
  merge_json /etc/docker/daemon.json "$upload/node/etc/docker/daemon.json" >"$work/daemon.json"
  cp "$work/daemon.json" "$upload/node/etc/docker/daemon.json"
fi
while IFS=$'\t' read -r mode path; do
  install -D -o root -g root -m "$mode" "$upload/node$path" "$path"
done <"$upload/files.tsv"
while IFS=$'\t' read -r mode path; do
  install -d -o root -g root -m "$mode" "$path"
done <"$upload/directories.tsv"
# One line for the data disk; a line of an earlier bake is replaced, every other line stays.
sed -i '/x-systemd.requires=bake-storage.service/d' /etc/fstab
cat "$upload/fstab" >>/etc/fstab

step enable-units
mapfile -t units <"$upload/units.txt"
# The image is shut down next: nothing needs this manager to read the units again.
systemctl --no-reload --quiet enable "${units[@]}"
