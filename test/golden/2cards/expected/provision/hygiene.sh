#!/bin/bash
# The last thing in the build VM: nothing that belongs to this one machine, and no secret, stays in the image.
set -euo pipefail
echo "bake: step hygiene"

rm -rf /var/tmp/bake /var/tmp/bake-*
rm -f /etc/ssh/ssh_host_*
for home in /root /home/*; do
  [ -d "$home" ] || continue
  rm -f "$home/.bash_history" "$home/.wget-hsts" "$home/.lesshst"
  # Packer's own clean-up looks for a key comment that clouds replace, so the file goes altogether.
  rm -f "$home/.ssh/authorized_keys"
done
rm -rf /var/lib/cloud/* /var/lib/dhcp/* /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
rm -f /run/machine-id /etc/hostname
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id
rm -rf /var/log/journal/* /run/log/journal/*
# Truncated, not deleted: some services do not start when their log folder is gone.
find /var/log -type f -exec truncate -s 0 {} +
rm -rf /tmp/* /tmp/.[!.]* /var/cache/apt/archives/*.deb /var/cache/ldconfig/aux-cache
if [ -f /root/.docker/buildx/.buildNodeID ]; then rm -f /root/.docker/buildx/.buildNodeID; fi
unset HISTFILE
sync
fstrim -a || true
