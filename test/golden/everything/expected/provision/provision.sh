#!/bin/bash
# Runs in the build VM: fetches every artifact by content address, compares its hash, installs it, lays the node's files
# down and enables its units. Usage: provision.sh FOLDER [STAGE...], with BAKE_ARTIFACTS=http://… in the environment.
# BAKE_PACKAGES names a file that files of the packages which this installs are packed into.
# Stages are base, runtime, payload and node; without a name all of them, in this order. What a stage reads of FOLDER is what its
# id is made of (src/render/stages.ts): a stage must not read more, since it may come out of a layer that another bake has made.
set -euo pipefail
upload=$1
work=$(mktemp -d /var/tmp/bake-provision.XXXXXX)
trap 'rm -rf "$work"' EXIT

# By openssl where it works, which is several times as fast as a sha256sum that is built without it, as Debian's and EulerOS's are.
digest() { if openssl dgst -sha256 -r </dev/null 2>/dev/null | grep -q ^e3b0c442; then openssl dgst -sha256 -r; else sha256sum; fi | cut -d ' ' -f 1; }
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
  found=$(digest <"$target")
  [ "$found" = "$sha256" ] || fail "artifact $name does not match its digest: expected sha256 $sha256, found $found"
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

# In the folder of root's configuration, and by a link where the client looks whatever DOCKER_CONFIG says: a job that logs in
# to a registry often has a configuration of its own.
install_buildx() {
  install -D -o root -g root -m 0700 "$1" /root/.docker/cli-plugins/docker-buildx
  install -d -m 0755 /usr/local/lib/docker /usr/local/lib/docker/cli-plugins
  ln -sfn /root/.docker/cli-plugins/docker-buildx /usr/local/lib/docker/cli-plugins/docker-buildx
}

install_buildkite_agent() {
  mkdir "$work/agent"
  tar --extract --gzip --no-same-owner --file "$1" --directory "$work/agent"
  # SELinux lets systemd start nothing below /root; the guide's path leads there (guide row G2).
  install -D -o root -g root -m 0755 "$work/agent/buildkite-agent" /opt/bake/bin/buildkite-agent
  install -d -o root -g root -m 0755 /root/.buildkite-agent/bin
  ln -sfn /opt/bake/bin/buildkite-agent /root/.buildkite-agent/bin/buildkite-agent
  rm -rf "$work/agent"
}

install_goss() { install -D -o root -g root -m 0755 "$1" /opt/bake/bin/goss; }

# The base's own package manager. dnf and yum have the same names for what is needed here.
if command -v apt-get >/dev/null; then
  family=apt manager=(apt-get -q --yes --no-install-recommends -o Dpkg::Use-Pty=0) keep_requirements=()
elif command -v dnf >/dev/null; then
  family=dnf manager=(dnf -q --assumeyes)
elif command -v yum >/dev/null; then
  family=dnf manager=(yum -q --assumeyes)
else
  fail "no way to install packages: neither apt-get nor dnf nor yum is there"
fi
export DEBIAN_FRONTEND=noninteractive
if [ "$family" = dnf ]; then
  keep_requirements=(--setopt=clean_requirements_on_remove=0)
  # A repository that does not answer is passed over: the rest may have everything.
  manager+=(--setopt=skip_if_unavailable=1 '--setopt=*.skip_if_unavailable=1')
fi

installed() {
  case $family in
    apt) [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
    dnf) rpm -q "$1" >/dev/null 2>&1 ;;
  esac
}
# listed ACTION: the packages of this family.
listed() { awk -F '\t' -v action="$1" -v family="$family" '$1 == action && $2 == family { print $3 }' "$upload/packages.tsv"; }

# Packages that are there, each with its version.
packages_there() {
  case $family in
    apt) dpkg-query -W -f '${db:Status-Abbrev}${binary:Package} ${Version}\n' | sed -n 's/^ii //p' ;;
    dnf) rpm -qa --qf '%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}\n' ;;
  esac | LC_ALL=C sort
}
# keep_files BEFORE: packs the files of packages that have come since, for the search for secrets: libraries have examples of
# credentials, and no input of the bake has those of what its package manager brings. What a package's scripts made, or changed, is
# not among them: that may be a key.
keep_files() {
  local -a came
  local file
  mapfile -t came < <(packages_there | LC_ALL=C comm -13 "$1" - | cut -d ' ' -f 1)
  : >"$work/files"
  if [ "${#came[@]}" -gt 0 ]; then
    case $family in
      apt)
        dpkg-query -L "${came[@]}"
        dpkg --verify "${came[@]}" >"$work/verified" 2>/dev/null || true
        ;;
      dnf)
        # 64: %ghost, which only names what a script makes.
        rpm -q --qf '[%{FILEFLAGS}\t%{FILENAMES}\n]' "${came[@]}" | awk -F '\t' 'int($1 / 64) % 2 == 0 { print $2 }'
        rpm -V --nodeps --noscripts "${came[@]}" >"$work/verified" 2>/dev/null || true
        ;;
    esac >"$work/names"
    sed -n 's|^[^/]* \(/.*\)$|\1|p' "$work/verified" | LC_ALL=C sort >"$work/changed"
    LC_ALL=C sort -u "$work/names" | LC_ALL=C comm -23 - "$work/changed" | while read -r file; do
      [ ! -f "$file" ] || [ -L "$file" ] || printf '%s\0' "$file"
    done >"$work/files"
  fi
  tar --create --absolute-names --null --files-from "$work/files" --file - | gzip -n -1 >"$BAKE_PACKAGES"
}

# Who owns a file; nothing for one that no package brought.
owner() {
  case $family in
    apt) dpkg -S "$1" 2>/dev/null | sed -n 's/^\([a-z0-9][^:, ]*\).*: .*/\1/p' ;;
    dnf) rpm -qf --qf '%{NAME}\n' "$1" 2>/dev/null || true ;;
  esac
}
# dependents NAME...: what goes with these packages, which are not named themselves.
dependents() {
  local all=("$@") more=("$@")
  case $family in
    apt) LC_ALL=C apt-get -q --simulate remove "$@" | awk '$1 == "Remv" { print $2 }' ;;
    dnf)
      # By rpm's own words, until it names nothing new: the tables of dnf and yum differ.
      while [ "${#more[@]}" -gt 0 ]; do
        mapfile -t more < <(LC_ALL=C rpm -e --test --allmatches "${all[@]}" 2>&1 |
          sed -n 's/.* is needed by (installed) \(.*\)/\1/p' | sed 's/-[0-9]*:\([^-]*-[^-]*\)$/-\1/' | sort -u)
        all+=("${more[@]}")
      done
      rpm -q --qf '%{NAME}\n' "${all[@]}"
      ;;
  esac | sort -u | grep -vxF -f <(printf '%s\n' "$@") || true
}

# The site's own authorities: packages may come by way of what they signed. Those of an earlier bake go.
trust_authorities() {
  local anchors bundle update file
  case $family in
    apt) anchors=/usr/local/share/ca-certificates bundle=/etc/ssl/certs/ca-certificates.crt update=(update-ca-certificates) ;;
    dnf) anchors=/etc/pki/ca-trust/source/anchors bundle=/etc/pki/tls/certs/ca-bundle.crt update=(update-ca-trust extract) ;;
  esac
  [ -d "$upload/node/etc/bake/ca" ] || [ -e /etc/bake/ca ] || return 0
  command -v "${update[0]}" >/dev/null || return 1
  rm -rf "$anchors"/bake-*.crt /etc/bake/ca
  install -d -m 0755 "$anchors" /etc/bake
  if [ -d "$upload/node/etc/bake/ca" ]; then
    for file in "$upload"/node/etc/bake/ca/*.crt; do
      install -o root -g root -m 0644 "$file" "$anchors/bake-${file##*/}" || return 1
    done
    ln -sfn "$bundle" /etc/bake/ca-bundle.pem
  fi
  "${update[@]}" >"$work/said" 2>&1
}

# hold_in FILE: in its [main]. Of several such lines the last one counts. kernel* would also hide what drivers are built with.
hold_in() {
  local file=$1 line name add=""
  [ -s "$file" ] || printf '[main]\n' >>"$file"
  if grep -Eq '^exclude(pkgs)? *=(.*[ ,])?kernel\*' "$file"; then
    echo "bake: $file: exclude=kernel* of the base becomes ${held[*]}"
    sed -Ei --follow-symlinks '/^exclude(pkgs)? *=/ s/([= ,])kernel\*([ ,]|$)/\1\2/g' "$file"
  fi
  line=$(grep -nE '^exclude(pkgs)? *=' "$file" | tail -n 1 | cut -d : -f 1 || true)
  for name in "${held[@]}"; do
    sed -n "${line:-0}{s/[=, ]/\n/gp}" "$file" 2>/dev/null | grep -qxF -e "$name" || add+=" $name"
  done
  if [ -n "$line" ]; then
    sed -i --follow-symlinks "${line}s/\$/$add/" "$file"
  else
    grep -q '^\[main\]' "$file" || sed -i --follow-symlinks '1i [main]' "$file"
    sed -i --follow-symlinks "/^\[main\]/a exclude=${add# }" "$file"
  fi
}

# lay_artifacts STAGE: each is compared with its digest first.
lay_artifacts() {
  local stage kind name sha256 path mode folder
  while IFS=$'\t' read -r stage kind name sha256 path mode; do
    [ "$stage" = "$1" ] || continue
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
}

# lay_files STAGE
lay_files() {
  local stage mode path
  while IFS=$'\t' read -r stage mode path; do
    [ "$stage" = "$1" ] || continue
    install -D -o root -g root -m "$mode" "$upload/node$path" "$path"
  done <"$upload/files.tsv"
}

# What is laid into a new folder has the label of the folder above it, which SELinux may not let systemd start or read.
# Where SELinux is off this does nothing.
relabel() {
  command -v restorecon >/dev/null || return 0
  printf '%s\n' /opt/bake /etc/bake /var/lib/bake /root/.buildkite-agent /root/.docker | restorecon -R -i -f - || return 1
  {
    printf '%s\n' /etc/fstab /opt/bake
    sed 's|^|/usr/bin/|' "$upload/docker-binaries.txt"
    cut -f 3 "$upload/files.tsv"
    cut -f 2 "$upload/directories.tsv"
    awk -F '\t' '$5 ~ /^\// { print $5 }' "$upload/artifacts.tsv"
  } | restorecon -i -f -
}

# The packages of the distribution.
stage_base() {
  local stage mode path
  trust_authorities || echo "bake: the site's certificates wait for the package ca-certificates"

  step packages
  [ -r "$upload/packages.tsv" ] || fail "$upload/packages.tsv is not there"
  # A site's own repositories, and the keys that their packages are signed with: packages may come from them.
  while IFS=$'\t' read -r stage mode path; do
    case $stage:$path in
      base:/etc/bake/*) ;;
      base:*) install -D -o root -g root -m "$mode" "$upload/node$path" "$path" ;;
    esac
  done <"$upload/files.tsv"
  unwanted=()
  while read -r name; do
    if installed "$name"; then unwanted+=("$name"); fi
  done < <(
    # Under whatever name: who owns the files of the static archive would replace them at its next update.
    { listed remove && while read -r binary; do owner "/usr/bin/$binary"; done <"$upload/docker-binaries.txt"; } | awk '!seen[$0]++'
  )
  if [ "${#unwanted[@]}" -gt 0 ]; then
    mapfile -t along < <(dependents "${unwanted[@]}")
    echo "bake: remove ${unwanted[*]}${along[*]+, and what needs them: ${along[*]}}"
    for name in "${along[@]}"; do
      case $name in
        cloud-init | openssh-server | NetworkManager | network-scripts | initscripts | systemd* | kernel* | linux-image* | grub* | \
          dnf* | yum | apt | dpkg | rpm | bash | sudo | selinux-policy* | Ascend* | ascend* | *npu-driver*)
          fail "removing ${unwanted[*]} would take $name along, which the node needs: make the base without that dependency"
          ;;
      esac
    done
    # What they alone needed stays: some of it is needed by what comes.
    "${manager[@]}" remove "${keep_requirements[@]}" "${unwanted[@]}" ||
      fail "these packages could not be removed: ${unwanted[*]}"
  fi
  missing=()
  while read -r name; do
    if ! installed "$name"; then missing+=("$name"); fi
  done < <(listed install)
  [ -z "${BAKE_PACKAGES-}" ] || packages_there >"$work/before"
  if [ "${#missing[@]}" -gt 0 ]; then
    echo "bake: install ${missing[*]}"
    # The base's own lists may do; fresh ones need a mirror.
    if ! "${manager[@]}" install "${missing[@]}"; then
      case $family in
        apt) apt-get -q update && "${manager[@]}" install "${missing[@]}" ;;
        dnf)
          echo "bake: once more, without the excludes of the base"
          "${manager[@]}" --disableexcludes=all install "${missing[@]}"
          ;;
      esac || fail "these packages could not be installed: ${missing[*]}"
    fi
  fi
  # Before anything of the profile is laid over them.
  [ -z "${BAKE_PACKAGES-}" ] || keep_files "$work/before" || fail "files of the packages could not be packed into $BAKE_PACKAGES"
  trust_authorities ||
    fail "the site's certificates could not be added: $(tail -n 3 "$work/said" 2>/dev/null | tr '\n' ' ')"
  # The drivers of the NPUs fit one kernel: no update may change it.
  mapfile -t held < <(listed hold)
  case ${held[0]+$family} in
    apt)
      mapfile -t held < <(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "${held[@]}" 2>/dev/null | sed -n 's/^ii //p')
      [ -z "${held[0]+there}" ] || apt-mark hold "${held[@]}" >/dev/null
      ;;
    dnf)
      # One may be a link to the other.
      for file in $(readlink -e /etc/dnf/dnf.conf /etc/yum.conf | sort -u || true); do hold_in "$file"; done
      ;;
  esac
  lay_files base
}

# Docker, and its settings.
stage_runtime() {
  step install-docker
  bash "$upload/base-leftovers.sh" "$upload" runtime || exit 1
  lay_artifacts runtime
  # Keys that are already there stay, such as the runtimes of Ascend's installer; ours win (guide row G21).
  daemon_json=/etc/docker/daemon.json
  [ ! -d "$daemon_json" ] || fail "$daemon_json is a folder: remove it in the base"
  if [ -e "$daemon_json" ]; then
    python3 "$upload/daemon-json.py" merge "$daemon_json" "$upload/node$daemon_json" "$upload/daemon-json.json" \
      "$work/daemon.json" || exit 1
    cp "$work/daemon.json" "$upload/node$daemon_json"
  fi
  lay_files runtime
  relabel || fail "labels of Docker could not be restored: restorecon -v /usr/bin/dockerd says why"

  step docker-settings
  # reason FILE...: on one line.
  reason() { cat "$@" 2>/dev/null | grep -vE 'level=(info|warning)' | tail -n 3 | tr '\n' ' ' || true; }
  # The merged settings, asked of the dockerd that will read them: with the options of its unit, and by a start. That one has
  # its data in memory, and processes, mounts and network of its own: a Docker that runs here is not touched.
  mapfile -t dockerd < <(sed -n 's/^ExecStart=//p' "$upload/node/etc/systemd/system/docker.service" | tr ' ' '\n')
  "${dockerd[@]}" --validate --config-file "$daemon_json" >"$work/said" 2>&1 ||
    fail "dockerd refuses $daemon_json: remove from the base's what it names: $(reason "$work/said")"
  trial=$(mktemp -d /run/bake-dockerd.XXXXXX)
  trap 'rm -rf "$work" "$trial"' EXIT
  python3 "$upload/daemon-json.py" trial "$daemon_json" "$trial" "$work/trial.json"
  ended=0
  # The question is answered once it has started, and fails when it ends; what runs there ends with the first process.
  unshare --mount --net --pid --fork --mount-proc timeout 300 bash -s "$trial" "$work" >"$work/said" 2>&1 <<'SH' || ended=$?
trial=$1 work=$2
! command -v ip >/dev/null || ip link set lo up
dockerd --config-file "$work/trial.json" --host "unix://$trial/sock" >"$work/dockerd.log" 2>&1 </dev/null &
while [ ! -S "$trial/sock" ] && kill -0 $! 2>/dev/null; do sleep 0.2; done
docker --host "unix://$trial/sock" info --format '{{.DockerRootDir}}' </dev/null
SH
  [ "$ended" -ne 124 ] || fail "dockerd did not answer for 300 s: this machine is slow, try again"
  grep -qxF "$trial/data" "$work/said" ||
    fail "dockerd does not start with $daemon_json: remove from the base's what it names: $(reason "$work/said" "$work/dockerd.log")"
  rm -rf "$trial"
}

# Images, models and build caches: what the seed is made from.
stage_payload() {
  step install-payload
  lay_artifacts payload
  lay_files payload
  relabel || fail "labels of what was laid could not be restored: restorecon -Rv /opt/bake says why"
}

# All that is small, or differs from node to node.
stage_node() {
  step base-leftovers
  bash "$upload/base-leftovers.sh" "$upload" node || exit 1

  step install-artifacts
  lay_artifacts node

  step install-files
  lay_files node
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

  step relabel
  relabel || fail "labels of what was laid could not be restored: restorecon -Rv /opt/bake says why"

  step enable-units
  mapfile -t units <"$upload/units.txt"
  # The image is shut down next: nothing needs this manager to read the units again.
  systemctl --no-reload --quiet enable "${units[@]}"
}

stages=("${@:2}")
[ "${#stages[@]}" -gt 0 ] || stages=(base runtime payload node)
for stage in "${stages[@]}"; do
  case $stage in
    base | runtime | payload | node) "stage_$stage" ;;
    *) fail "there is no stage $stage" ;;
  esac
done
