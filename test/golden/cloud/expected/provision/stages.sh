#!/bin/bash
# Runs in the build VM: makes the node, one stage after the other. Behind each but the last, bake may keep the disk as a layer from
# which a later bake goes on (docs/layers.md). Usage: stages.sh FOLDER, with BAKE_ARTIFACTS=http://… in the environment. For layers,
# BAKE_LAYERS is the path there below which bake answers, and BAKE_STAGES what is left to do.
set -euo pipefail
upload=$1

# layer STAGE: bake stops the machine, goes on in a new file, and lets it run again. Nothing is written in between but by services
# of the base, as at any other moment: a layer is what a power cut would leave, with all that was done on the disk.
layer() {
  [ -n "${BAKE_LAYERS-}" ] || return 0
  # Whoever starts from the layer waits for cloud-init anew, or has none as this boot had.
  rm -f /var/lib/cloud/instance/boot-finished
  if [ "$cloud_init" = no ]; then
    install -d -m 0755 /etc/cloud
    : >/etc/cloud/cloud-init.disabled
  fi
  # What was deleted takes no room in a layer.
  sync
  fstrim -a 2>/dev/null || true
  sync
  echo "bake: layer $1"
  for _ in $(seq 300); do
    ! curl --fail --silent --max-time 5 --output /dev/null "$BAKE_ARTIFACTS/$BAKE_LAYERS-$1" || return 0
    sleep 0.3
  done
  # It may come yet, and would hold a part of what follows.
  echo "bake: no layer $1"
}

# Looked at before packages come: cloud-init that is installed meanwhile has made its folder, and no part in this boot.
cloud_init=yes
if [ ! -d /run/cloud-init ] || [ -e /run/cloud-init/disabled ]; then cloud_init=no; fi

for stage in ${BAKE_STAGES:-base runtime payload node}; do
  echo "bake: stage $stage"
  bash "$upload/provision.sh" "$upload" "$stage"
  [ "$stage" != payload ] || bash "$upload/seed.sh" "$upload"
  [ "$stage" = node ] || layer "$stage"
done
