# The guide's commands, G2 to G28, as they stand there, with its known mistakes put right: docker load takes the place of docker pull,
# and cp that of rsync, which costs less. The data disk is a folder of the image: a build VM has no NVMe. Made for bench/guide.ts.
set -euo pipefail
. /root/settings.sh
get() { curl --silent --show-error --fail "$ARTIFACTS/sha256/${1:0:2}/${1:2}"; }
cloud-init status --wait >/dev/null || true

# G2 to G7: the agent.
mkdir -p /root/.buildkite-agent/bin /root/.buildkite-agent/builds
get "$agent" | tar -xz -C /root/.buildkite-agent
mv /root/.buildkite-agent/buildkite-agent /root/.buildkite-agent/bin/
cat >/root/.buildkite-agent/buildkite-agent.cfg <<'END'
name="%hostname-%spawn-2cards"
spawn=4
tags="queue=ascend"
git-clone-flags="--depth=1"
git-fetch-flags="--depth=1"
END
chmod 0600 /root/.buildkite-agent/buildkite-agent.cfg
cat >/etc/systemd/system/buildkite-agent.service <<'END'
[Unit]
Description=Buildkite Agent
After=network-online.target docker.service
Wants=network-online.target
[Service]
Environment=HOME=/root
Environment=BUILDKITE_BUILD_PATH=/root/.buildkite-agent/builds
ExecStart=/root/.buildkite-agent/bin/buildkite-agent start --config /root/.buildkite-agent/buildkite-agent.cfg
Restart=on-failure
RestartSec=10
KillMode=mixed
[Install]
WantedBy=multi-user.target
END

# G19 to G21: Docker.
groupadd --system docker
get "$docker" | tar -xz -C /usr/bin --strip-components 1 --no-same-owner
cat >/etc/systemd/system/docker.service <<'END'
[Unit]
Description=Docker
After=network-online.target containerd.service
Wants=network-online.target containerd.service
[Service]
Type=notify
ExecStart=/usr/bin/dockerd --containerd=/run/containerd/containerd.sock
Delegate=yes
KillMode=process
LimitNOFILE=infinity
[Install]
WantedBy=multi-user.target
END
cat >/etc/systemd/system/containerd.service <<'END'
[Unit]
Description=containerd
[Service]
Type=notify
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/bin/containerd
Delegate=yes
KillMode=process
[Install]
WantedBy=multi-user.target
END
mkdir -p /etc/docker /mnt/docker-data/docker
echo '{ "data-root": "/mnt/docker-data/docker" }' >/etc/docker/daemon.json
systemctl daemon-reload
systemctl --quiet enable buildkite-agent docker containerd
systemctl start docker

# G23, G24: buildx and its builders.
mkdir -p /root/.docker/cli-plugins
get "$buildx" >/root/.docker/cli-plugins/docker-buildx
chmod 0700 /root/.docker/cli-plugins/docker-buildx
load() { # load MANIFEST BLOB...
  local folder blob
  folder=$(mktemp -d /mnt/load.XXXXXX)
  mkdir -p "$folder/blobs/sha256"
  echo "$1" >"$folder/manifest.json"
  for blob in "${@:2}"; do get "$blob" >"$folder/blobs/sha256/$blob"; done
  tar -c -C "$folder" . | docker load --quiet
  rm -rf "$folder"
}
for index in 0 1; do
  # shellcheck disable=SC2086 # Names of files.
  load "${manifests[index]}" ${blobs[index]}
done
for agent in 1 2 3 4; do
  docker buildx create --name cachebuilder$agent --driver docker-container --driver-opt "image=$buildkit" >/dev/null
done

# G26 to G28: the first agent's cache and models, and a copy for each of the others.
while read -r sha256 path; do
  mkdir -p "/mnt/$(dirname "$path")"
  get "$sha256" >"/mnt/$path"
done <<<"$files"
for agent in 2 3 4; do
  for what in docker-cache modelscope hf_cache; do
    mkdir -p "/mnt/$what$agent"
    cp -a "/mnt/${what}1/." "/mnt/$what$agent/"
  done
done

# What must not be in an image.
systemctl stop docker docker.socket containerd 2>/dev/null || true
rm -f /root/settings.sh /root/.ssh/authorized_keys /etc/ssh/ssh_host_*
cloud-init clean --logs
: >/etc/machine-id
fstrim -a || true
