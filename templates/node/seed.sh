#!/bin/bash
# Runs in the build VM when the node's files are laid: makes the seed. It is the file system of a blank data disk, with all images
# in Docker's store and all models and build caches in place, and bake-storage writes it where it would run mkfs (docs/seeds.md).
# Usage: seed.sh FOLDER, with BAKE_ARTIFACTS=http://… in the environment.
set -euo pipefail
export LC_ALL=C
upload=$1
# A disk that exists already, or another file system, has no seed.
[ -r "$upload/seed.env" ] || exit 0
# shellcheck source=/dev/null
. "$upload/seed.env"
: "${SEED_BYTES:?}" "${SEED_UUID:?}" "${SEED_LABEL:?}" "${SEED_JOURNAL_MIB:?}" "${SEED_MOUNT:?}" "${SEED_DATA_ROOT:?}" "${SEED_LEVEL:?}" "${SEED_WINDOW_MIB:?}"
seed=/opt/bake/seed
range=$((256 << 20))

# By openssl where it works, which is several times as fast as a sha256sum that is built without it, as Debian's and EulerOS's are.
digest() { if openssl dgst -sha256 -r </dev/null 2>/dev/null | grep -q ^e3b0c442; then openssl dgst -sha256 -r; else sha256sum; fi | cut -d ' ' -f 1; }
step() { echo "bake: step $*"; }
fail() {
  echo "bake: failed $*" >&2
  exit 1
}

step seed
rm -rf /var/tmp/bake-seed.*
work=$(mktemp -d /var/tmp/bake-seed.XXXXXX)
disk=$work/disk
clean_up() {
  ! mountpoint -q "$SEED_MOUNT" || umount "$SEED_MOUNT" || true
  rm -rf "$work"
}
trap clean_up EXIT

# What a disk of 7 TB gets from mkfs is said here: a small file system that grows keeps its own numbers, and would end up with
# inode tables of 112 GiB and a journal of 64 MiB. Free blocks cost nothing: only what is allocated is stored.
features=has_journal
# Older kernels and tools must be able to read a disk that outlives its image.
for feature in orphan_file metadata_csum_seed; do
  ! grep -qw "$feature" /etc/mke2fs.conf 2>/dev/null || features+=",^$feature"
done
truncate -s "$SEED_BYTES" "$disk"
mke2fs -q -F -t ext4 -b 4096 -i 32768 -J "size=$SEED_JOURNAL_MIB" -O "$features" -U "$SEED_UUID" -L "$SEED_LABEL" \
  -E "resize=2147483648,lazy_itable_init=1,nodiscard" "$disk" || fail "mke2fs cannot make the seed"
install -d -m 0755 "$SEED_MOUNT"
# Tables of inodes that nobody uses yet are cleared by each node's own kernel, as after mkfs.
mount -o loop,noatime,noinit_itable "$disk" "$SEED_MOUNT" || fail "the seed cannot be mounted: has this kernel loop devices?"

# Where the data disk's folders lie: what provisioning made there is below the mount now.
while IFS=$'\t' read -r mode path; do
  case $path in "$SEED_MOUNT"/*) install -d -o root -g root -m "$mode" "$path" ;; esac
done <"$upload/directories.tsv"

# Docker fills its own store, by the script that looks after it on the node. It has processes, mounts and network of its own:
# a Docker that runs here is not touched.
run=$(mktemp -d /run/bake-seed.XXXXXX)
python3 "$upload/daemon-json.py" trial /etc/docker/daemon.json "$run" "$work/daemon.json" "$SEED_DATA_ROOT"
unshare --mount --net --pid --fork --mount-proc bash -s "$run" "$work" <<'SH' || fail "images could not be put into the seed"
set -euo pipefail
run=$1 work=$2
! command -v ip >/dev/null || ip link set lo up
dockerd --config-file "$work/daemon.json" --host "unix://$run/sock" >"$work/dockerd.log" 2>&1 </dev/null &
daemon=$!
export DOCKER_HOST=unix://$run/sock HOME=/root
while ! docker version >/dev/null 2>&1 </dev/null; do
  kill -0 "$daemon" 2>/dev/null || {
    tail -n 5 "$work/dockerd.log" >&2
    exit 1
  }
  sleep 0.2
done
/opt/bake/bin/bake-images carried </dev/null
# A container of each image: Docker mounts its layers over each other, and a folder that every container has is read through
# them. Nothing of the image runs.
while IFS=$'\t' read -r reference _ folder _; do
  [ ! -e "$folder/fetch.tsv" ] || continue
  container=$(docker create --network none "$reference" / </dev/null) &&
    docker cp "$container:/etc" - </dev/null | tar -t >/dev/null &&
    docker rm --volumes "$container" </dev/null >/dev/null || {
    echo "bake: no container can be made of $reference in the seed" >&2
    exit 1
  }
done </opt/bake/images.tsv
kill -TERM "$daemon"
wait "$daemon" || true
SH
rm -rf "$run"
# What makes a daemon this one daemon, and what it makes anew.
(
  cd "$SEED_DATA_ROOT" || exit
  rm -rf engine-id containers network tmp runtimes swarm plugins containerd buildkit volumes overlay2/backingFsBlockDev
)

if [ -x /opt/bake/bin/bake-models ]; then
  /opt/bake/bin/bake-models fetch "${BAKE_ARTIFACTS:?}" image || fail "models could not be put into the seed"
fi
if [ -r /opt/bake/caches.tsv ]; then
  /opt/bake/bin/bake-caches fetch "${BAKE_ARTIFACTS:?}" image || fail "build caches could not be put into the seed"
fi

step pack-seed
umount "$SEED_MOUNT" || fail "something still uses the seed"
e2fsck -fn "$disk" >"$work/said" 2>&1 || fail "the seed is not clean: $(tail -n 3 "$work/said" | tr '\n' ' ')"

# Allocation says what is stored, not zeros: an allocated block of zeros must be written on a disk that is not zeroed, a free one
# never. Tables of inodes that the kernel has not cleared yet count as free: its own note says that it still has to.
# extents: "offset length" in bytes, the first block left out, cut at the ends of ranges.
extents() {
  dumpe2fs "$disk" 2>/dev/null | awk -v range="$range" '
    function skip(first, last) { from[++n] = first; to[n] = last }
    /^Block count:/ { blocks = $3 }
    /^Block size:/ { size = $3 }
    /^Group [0-9]+:/ { unused = /INODE_UNINIT/ && !/ITABLE_ZEROED/ }
    unused && /^  Inode table at / { split($4, ends, "-"); skip(ends[1] + 0, ends[2] + 0) }
    /^  Free blocks: / {
      sub(/^  Free blocks: */, "")
      count = split($0, parts, ", *")
      for (i = 1; i <= count; i++) if (parts[i] != "") {
        split(parts[i], ends, "-")
        skip(ends[1] + 0, (ends[2] == "" ? ends[1] : ends[2]) + 0)
      }
    }
    END {
      for (i = 1; i <= n; i++) printf "%d %d\n", from[i], to[i]
      printf "%d %d\n", blocks, blocks
    }' | sort -n | awk -v range="$range" -v size=4096 -v at=1 '
    { if ($1 > at) emit(at, $1); if ($2 + 1 > at) at = $2 + 1 }
    function emit(first, end,   stop, step) {
      step = range / size
      while (first < end) {
        stop = (int(first / step) + 1) * step
        if (stop > end) stop = end
        printf "%05d %d %d\n", int(first / step), first * size, (stop - first) * size
        first = stop
      }
    }'
}
extents >"$work/extents"
[ -s "$work/extents" ] || fail "dumpe2fs says nothing of the seed's blocks"

rm -rf "$seed"
install -d -m 0755 "$seed"
# pack RANGE: and gives its blocks back, so that the seed is not there twice.
pack() {
  local index offset length
  awk -v range="$1" '$1 == range' "$work/extents" | while read -r index offset length; do
    dd if="$disk" bs=1M iflag=skip_bytes,count_bytes,fullblock skip="$offset" count="$length" status=none || exit 1
    fallocate --punch-hole --offset "$offset" --length "$length" "$disk" 2>/dev/null || true
  done | zstd -q -"$SEED_LEVEL" ${long:+"$long"} -o "$seed/$1.zst"
  digest <"$seed/$1.zst" >"$work/$1.sha256"
}
export -f digest pack
# zstd wants the window's exponent. No level looks back further than 8 MiB by itself.
long=''
for exponent in 24 25 26 27; do
  [ $((1 << (exponent - 20))) -gt "$SEED_WINDOW_MIB" ] || long=--long=$exponent
done
export work disk seed SEED_LEVEL long
head -c 4096 "$disk" >"$seed/superblock"
cut -d ' ' -f 1 "$work/extents" | uniq | xargs -P "$(nproc)" -I{} bash -c 'set -euo pipefail; pack {}' ||
  fail "the seed cannot be packed: $(df -h --output=avail "$seed" | tail -n 1) free"
{
  printf 'format\t1\nbytes\t%s\nwindow\t%s\n' "$SEED_BYTES" "$SEED_WINDOW_MIB"
  printf 'superblock\t%s\n' "$(digest <"$seed/superblock")"
  while read -r index offset length; do
    if [ "$index" != "${last-}" ]; then
      last=$index
      printf 'range\t%s\t%s\n' "$index" "$(cat "$work/$index.sha256")"
    fi
    printf 'extent\t%s\t%s\n' "$offset" "$length"
  done <"$work/extents"
} >"$seed/map.tsv"
chmod 0644 "$seed"/*
# Layers are in the seed now.
rm -rf /opt/bake/images/blobs
echo "bake: seed of $(($(/opt/bake/bin/bake-seed size) >> 20)) MiB, packed $(du -sm "$seed" | cut -f 1) MiB"
