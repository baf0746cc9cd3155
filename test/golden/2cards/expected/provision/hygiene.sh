#!/bin/bash
# The last thing in the build VM: nothing that belongs to this one machine, and no secret, stays in the image. Says what it
# cannot clean and ends with 1. What one of the two families of bases does not have is passed over.
set -uo pipefail
shopt -s nullglob dotglob
export LC_ALL=C
echo "bake: step hygiene"

failures=()
problem() {
  failures+=("$*")
  echo "bake: failed $*" >&2
}
# What a tool said when it failed, on one line.
said=$(mktemp /dev/shm/bake-hygiene.XXXXXX 2>/dev/null || mktemp)
brief() { tr '\n' ' ' <"$said" | cut -c 1-200; }

remove() {
  local path
  for path in "$@"; do
    if [ -e "$path" ] || [ -L "$path" ]; then
      rm -rf -- "$path" 2>"$said" || problem "$path stays: $(brief)"
    fi
  done
}
# Files that cloud-init wrote for this machine say so in their first lines.
made_by_cloud_init() {
  local path
  for path in "$@"; do
    if [ -f "$path" ] && head -n 5 "$path" | grep -qi 'cloud-init'; then remove "$path"; fi
  done
}
# edit FILE SED-EXPRESSION
edit() {
  [ ! -f "$1" ] || sed -i "$2" "$1" 2>"$said" || problem "$1 cannot be changed: $(brief)"
}

# Services that would write again what is removed below, the last of them while the machine shuts down.
if [ -d /run/systemd/system ]; then
  # The journal goes on in memory: its files on the disk are closed, so that their blocks are free before the trim.
  mkdir -p /run/systemd/journald.conf.d
  printf '[Journal]\nStorage=volatile\n' >/run/systemd/journald.conf.d/bake-hygiene.conf
  systemctl restart systemd-journald.service 2>"$said" || problem "the journal cannot be moved into memory: $(brief)"
  # At shutdown it saves a seed, which every node would then start from. Stopped now, it saves one that is removed.
  systemctl stop systemd-random-seed.service 2>"$said" || problem "the random seed service does not stop: $(brief)"
  for unit in syslog.socket rsyslog.service crond.service cron.service atd.service unattended-upgrades.service; do
    if systemctl is-active --quiet "$unit"; then systemctl stop "$unit" 2>/dev/null || true; fi
  done
fi

# Homes of accounts, wherever they are, and those in /home that no account has any more.
homes=(/root)
while IFS=: read -r _ _ _ _ _ home _; do
  case $home in
    /root | /home/* | / | '' | /bin | /sbin | /usr/* | /proc* | /dev* | /run/*) ;;
    *) [ ! -d "$home" ] || homes+=("$home") ;;
  esac
done </etc/passwd
for home in /home/*; do [ ! -d "$home" ] || homes+=("$home"); done

for home in "${homes[@]}"; do
  # Packer's own clean-up looks for a key comment that clouds replace, so the file goes altogether. A node makes its own
  # key pair: a baked one would be the same everywhere.
  remove "$home"/.ssh/{authorized_keys,authorized_keys2,known_hosts,known_hosts.old,agent.env} "$home"/.ssh/id_*
  remove "$home"/.{bash,zsh,sh,ash,python,node_repl,mysql,psql,sqlite,redis-cli,rediscli}_history "$home"/.histfile
  remove "$home"/.{wget-hsts,lesshst,viminfo,Xauthority,xauth,netrc,git-credentials,rnd,sudo_as_admin_successful}
  remove "$home"/.config/{git/credentials,containers/auth.json,gh,hub,glab-cli}
  remove "$home"/.aws/{credentials,sso,cli/cache} "$home"/.hcloud/config.json "$home"/.kube/cache "$home"/.kube/config
  remove "$home"/.gnupg/{random_seed,S.*,private-keys-v1.d} "$home"/.viminfo "$home"/.vim/.netrwhist
  remove "$home"/.docker/buildx/.buildNodeID "$home"/.docker/.token_seed "$home"/.docker/.token_seed.lock
  # Logins go, settings stay.
  config=$home/.docker/config.json
  if [ -s "$config" ]; then
    text=$(python3 - "$config" <<'PYTHON'
import io, json, sys
try:
    with io.open(sys.argv[1], encoding="utf-8") as file:
        settings = json.load(file)
    settings.keys()
except (ValueError, AttributeError):
    # Its text may be a login.
    sys.exit(1)
# A context leads to another daemon.
for key in ("auths", "credsStore", "credHelpers", "HttpHeaders", "identitytoken", "currentContext"):
    if settings.pop(key, None) is not None and key != "auths":
        sys.stderr.write("bake: {}: {} of the base is left out\n".format(sys.argv[1], key))
sys.stdout.write(json.dumps(settings, indent=2, sort_keys=True) + "\n")
PYTHON
    ) || {
      problem "$config is no JSON object: its logins cannot be taken out"
      continue
    }
    if [ "$text" = "{}" ]; then remove "$config"; else printf '%s\n' "$text" >"$config"; fi
  fi
done

# Passwords: the base's would open every node. `*` and not `!`, with which some sshd refuse a key too; what was locked stays
# so. The day of the last change goes as well: a password that is too old keeps those with a key out.
# without_passwords FILE: of shadow an empty one too, which lets everybody in; of gshadow that one lets in members alone.
without_passwords() {
  awk -F : -v OFS=: -v file="$1" '
    /^[+-]/ || (file ~ /gshadow$/ && $2 == "") || (file ~ /passwd$/ && $2 == "x") { print; next }
    $2 !~ /^[!*]+$/ { $2 = ($2 ~ /^!/) ? "!" : "*"; if (file ~ /\/shadow$/) $3 = "" }
    { print }
  ' "$1"
}
for file in /etc/passwd /etc/shadow /etc/gshadow; do
  [ -f "$file" ] || continue
  without_passwords "$file" >"$said" || problem "passwords in $file cannot be found"
  # Into the same file, which keeps its mode, its label and its blocks.
  if ! cmp -s "$said" "$file"; then
    echo "bake: passwords taken out of $file: $(diff "$file" "$said" | sed -n 's/^> \([^:]*\):.*/\1/p' | tr '\n' ' ')"
    cat "$said" >"$file" || problem "$file cannot be changed"
    without_passwords "$file" | cmp -s - "$file" || problem "$file still has a password"
  fi
done
: >"$said"
# Copies and earlier passwords.
remove /etc/{passwd,shadow,group,gshadow}- /etc/{shadow,gshadow,passwd,group}.{rpmsave,rpmnew,bak,orig,old} /var/backups/{shadow,gshadow,passwd,group}.bak*
[ ! -f /etc/security/opasswd ] || : >/etc/security/opasswd

# Identity.
remove /etc/ssh/ssh_host_*
remove /etc/hostname /var/lib/dbus/machine-id /run/machine-id
# Empty, not absent: systemd then makes one at the next boot.
: >/etc/machine-id || problem "/etc/machine-id cannot be emptied"
remove /var/lib/systemd/random-seed /var/lib/systemd/credential.secret /var/lib/random-seed /var/lib/urandom/random-seed
remove /var/lib/misc/random-seed /boot/efi/loader/random-seed /efi/loader/random-seed /boot/loader/random-seed
remove /etc/docker/key.json /var/lib/docker/engine-id /etc/nvme/hostid /etc/nvme/hostnqn
# A new name is made where this line is missing.
edit /etc/iscsi/initiatorname.iscsi '/^InitiatorName=/d'

# cloud-init: state, instance data, and the configuration that it wrote for this machine.
# What a node of an earlier image noted, where this one starts from such an image.
remove /var/lib/bake/*
remove /var/lib/cloud/* /run/cloud-init/* /var/tmp/cloud-init /tmp/cloud-init
remove /etc/sudoers.d/90-cloud-init-users /etc/cloud/cloud.cfg.d/{50-curtin-networking,90-installer-network,99-installer}.cfg
made_by_cloud_init /etc/netplan/* /etc/network/interfaces.d/* /etc/systemd/network/*cloud-init* \
  /etc/sysconfig/network-scripts/ifcfg-* /etc/NetworkManager/system-connections/cloud-init-* \
  /etc/NetworkManager/conf.d/*cloud-init* /etc/udev/rules.d/*cloud-init*
edit /etc/fstab '/[,[:space:]]comment=cloudconfig/d'

# The network as this machine saw it: cards, leases, names.
remove /etc/udev/rules.d/{70-persistent-net,70-persistent-cd,75-persistent-net-generator}.rules
for file in /etc/sysconfig/network-scripts/ifcfg-*; do edit "$file" '/^[[:space:]]*HWADDR=/d'; done
for file in /etc/NetworkManager/system-connections/*; do edit "$file" '/^[[:space:]]*mac-address=/d'; done
remove /var/lib/dhcp/* /var/lib/dhclient/* /var/lib/dhcpcd/* /var/lib/systemd/network/*.lease
remove /var/lib/NetworkManager/{*.lease,*.conf,secret_key,timestamps,seen-bssids,internal-*}
# A link leads to what a service makes anew at every boot.
if [ -f /etc/resolv.conf ] && [ ! -L /etc/resolv.conf ] &&
  grep -qiE 'generated by|networkmanager|dhclient|dhcpcd|resolvconf' /etc/resolv.conf; then
  : >/etc/resolv.conf || problem "/etc/resolv.conf cannot be emptied"
fi

# What was written down: journal, logs, mail, dumps.
remove /var/log/journal/* /var/lib/wtmpdb/* /var/lib/lastlog/*
for log in /var/log/*.[0-9] /var/log/*.[0-9].gz /var/log/*.old /var/log/*-20[0-9][0-9][0-9][0-9][0-9][0-9]* /var/log/*.gz /var/log/*.xz; do
  remove "$log"
done
# Emptied, not removed: some services do not start without the folder or file of their log.
find /var/log -xdev -type f -exec truncate -s 0 {} + 2>"$said" || problem "logs are not empty: $(brief)"
remove /var/spool/mail/* /var/mail/* /var/spool/clientmqueue/* /var/spool/mqueue/* /var/spool/postfix/maildrop/*
remove /var/crash/* /var/lib/systemd/coredump/* /var/lib/systemd/pstore/* /var/spool/abrt/* /var/tmp/abrt/* /var/core/*
remove /root/{anaconda-ks.cfg,original-ks.cfg,initial-setup-ks.cfg,install.log,install.log.syslog}

# Caches of packages. Lists too: they name mirrors and age, and an update brings them back.
remove /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/* /var/cache/apt/*.bin
for list in /var/lib/apt/lists/*; do
  case $list in */lock | */partial | */auxfiles) ;; *) remove "$list" ;; esac
done
remove /var/cache/yum/* /var/cache/dnf/* /var/cache/PackageKit/* /var/cache/ldconfig/aux-cache /var/lib/rpm/__db*

# Swap holds what was in memory.
while read -r device _; do
  case $device in Filename | /dev/zram*) continue ;; esac
  uuid=$(blkid -p -s UUID -o value "$device" 2>/dev/null)
  label=$(blkid -p -s LABEL -o value "$device" 2>/dev/null)
  swapoff "$device" 2>"$said" || {
    problem "swap on $device cannot be turned off: $(brief)"
    continue
  }
  # To its end, without making it longer or taking its blocks away.
  dd if=/dev/zero of="$device" bs=1M count="$(($(blockdev --getsize64 "$device" 2>/dev/null || stat -c %s "$device") / 1048576))" \
    conv=notrunc,fsync status=none 2>"$said" || problem "swap on $device cannot be overwritten: $(brief)"
  mkswap ${uuid:+-U "$uuid"} ${label:+-L "$label"} "$device" >/dev/null 2>"$said" ||
    problem "no swap on $device any more: $(brief)"
done </proc/swaps

# Temporary files, this script's folder among them; and files of packages, which bake has fetched.
remove /tmp/* /var/tmp/* /var/lib/bake-packages.tar.gz

# Secrets come with user-data, never with an image.
for file in /etc/bake/secrets/* /root/.gitconfig.d/*; do
  problem "$file is in the image: secrets are delivered to a node, not baked"
done
for path in /etc/ssh/ssh_host_* /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys /var/lib/cloud/* /var/log/journal/*; do
  [ ! -e "$path" ] || problem "$path is there again: something makes it while the image is cleaned"
done
[ ! -s /etc/machine-id ] || problem "/etc/machine-id is not empty"

# Free blocks still hold what was in them. Zeros first, then trim: trim alone acts on whole units of the disk below and
# leaves freed blocks beside used ones as they were; zeros alone do as well where a disk knows no trim.
sync
# ext4 keeps some blocks back even from root, until it is told not to; the machine is shut down next.
for file in /sys/fs/ext4/*/reserved_clusters; do
  echo 0 >"$file" 2>"$said" || echo "bake: hygiene: $file cannot be set: $(brief)"
done
# Of ext4 a group of blocks that was never used holds nothing of this machine, and a large disk is mostly those. A file takes all free
# space, and zeros are written where it lies in groups that were used. Other file systems do not tell which those are.
# Prints bytes and offset of each piece of the file that needs them.
used_pieces() {
  local groups=$1 file=$2
  {
    cat "$groups"
    echo "the file:"
    LC_ALL=C filefrag -v "$file"
  } | awk '
    function piece(from, count) {
      if (count > 0 && from == end) { end += count; return }
      if (end > start) printf "%.0f %.0f\n", (end - start) * size, start * size
      start = from; end = from + count
    }
    /^Block size:/ { size = $3 }
    /^First block:/ { first = $3 }
    /^Blocks per group:/ { each = $4 }
    /^Group [0-9]+:.*BLOCK_UNINIT/ { group = $2; sub(":", "", group); unused[group + 0] = 1 }
    /^the file:/ { inFile = 1 }
    inFile && /^ *[0-9]+: +[0-9]+\.\. *[0-9]+: +[0-9]+\.\. *[0-9]+:/ {
      gsub(/[.:]+/, " ")
      at = $2; from = $4; to = $5
      while (from <= to) {
        group = int((from - first) / each)
        last = first + (group + 1) * each - 1
        if (last > to) last = to
        if (!(group in unused)) piece(at, last - from + 1)
        at += last - from + 1; from = last + 1
      }
    }
    END { piece(-1, 0) }'
}
# Fails where it cannot tell: then all free space is filled.
overwrite_used() {
  local mount=$1 fill=$2 free=$3 source pieces bytes offset sum=0
  command -v dumpe2fs filefrag fallocate >/dev/null || return 1
  source=$(findmnt -nro SOURCE "$mount" 2>/dev/null | head -n 1)
  source=${source%%\[*}
  [ -b "$source" ] || return 1
  pieces=$(mktemp /dev/shm/bake-pieces.XXXXXX 2>/dev/null) || return 1
  # Before the file is made: it takes blocks of every group.
  LC_ALL=C dumpe2fs "$source" 2>/dev/null >"$pieces.groups"
  if ! grep -q '^Group [0-9]*:.*BLOCK_UNINIT' "$pieces.groups"; then
    rm -f "$pieces" "$pieces.groups"
    return 1
  fi
  # What it cannot take of the last blocks is filled after it.
  fallocate -l "$(($(stat -f -c '%f * %S' "$mount")))" "$fill" 2>/dev/null
  if ! used_pieces "$pieces.groups" "$fill" >"$pieces" || [ ! -s "$pieces" ]; then
    rm -f "$pieces" "$pieces.groups"
    return 1
  fi
  while read -r bytes offset; do sum=$((sum + bytes)); done <"$pieces"
  echo "bake: hygiene: overwriting $((sum / 1048576)) of $free MiB of free space on $mount: the rest was never used"
  while read -r bytes offset; do
    dd if=/dev/zero of="$fill" bs=4M iflag=count_bytes count="$bytes" oflag=seek_bytes,direct seek="$offset" conv=notrunc status=none \
      2>"$said" || problem "the free space of $mount could not be overwritten: $(brief)"
  done <"$pieces"
  rm -f "$pieces" "$pieces.groups"
}
clear_free_space() {
  local mount=$1 type=$2 fill=$1/.bake-zeros free
  rm -f "$fill" "$fill.rest"
  free=$(df -BM --output=avail "$mount" 2>/dev/null | tail -n 1 | tr -d ' M')
  if [ "$type" != ext4 ] || ! overwrite_used "$mount" "$fill" "$free"; then
    # A large disk takes long here: whoever waits is told.
    echo "bake: hygiene: overwriting $free MiB of free space on $mount"
    dd if=/dev/zero of="$fill" bs=4M oflag=direct status=none 2>/dev/null
  fi
  # What is left is smaller than a block of that; the disk is full when this ends.
  dd if=/dev/zero of="$fill.rest" bs=4k status=none 2>"$said"
  grep -q 'No space left' "$said" || problem "the free space of $mount could not be overwritten: $(brief)"
  sync
  rm -f "$fill" "$fill.rest" || problem "$fill stays"
  sync
  fstrim "$mount" 2>"$said" || echo "bake: hygiene: no trim on $mount ($(brief)): its free space holds zeros"
}
mounts=$(findmnt -rno MAJ:MIN,TARGET,FSTYPE -O rw 2>"$said") || problem "file systems cannot be listed: $(brief)"
declare -A cleared=()
while read -r device mount type; do
  # Each file system once; a file that is mounted over another one is no place for zeros.
  if [ -n "${cleared[$device]-}" ] || [ ! -d "$mount" ] || [ ! -w "$mount" ]; then continue; fi
  cleared[$device]=yes
  case $type in
    ext2 | ext3 | ext4 | xfs | btrfs | vfat) clear_free_space "$mount" "$type" ;;
  esac
done <<<"$mounts"
rm -f "$said"

if [ "${#failures[@]}" -gt 0 ]; then
  echo "bake: hygiene: ${#failures[@]} things could not be cleaned" >&2
  exit 1
fi
