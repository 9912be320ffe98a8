#!/bin/sh
# The first process of a lab machine, run in namespaces of its own: gives it a disk, starts its services, reaps.
# usage: boot.sh NAME DIRECTORY        (DIRECTORY holds seed/, and either disk/ or disk.img)
set -eu
name=$1 dir=$2

# /proc is still the outer one here: note who we are for those outside.
read -r stat </proc/self/stat
set -- $stat
echo "$1 ${22}" >"$dir/pid.new"
mount -t proc proc /proc

if [ -f "$dir/disk.img" ]; then
  mount -o loop "$dir/disk.img" /mnt
else
  mkdir -p "$dir/disk"
  mount --bind "$dir/disk" /mnt
fi
mkdir -p /mnt/root /mnt/docker /mnt/socket

# Another release's engine shadows the machine's own, for its services and for whoever signs in.
mount -t tmpfs -o mode=755 tmpfs /usr/local/bin
if [ -e "$dir/engine" ]; then
  mount --bind "$dir/engine/usr/bin" /usr/local/bin
  mount --bind "$dir/engine/usr/sbin" /usr/local/sbin
fi
cp -a "$dir/seed/." /mnt/
mv "$dir/pid.new" "$dir/pid"

# What the machine writes is its own; what it did not write is the Debian underneath.
for top in etc home opt srv var; do
  mkdir -p "/mnt/$top" "/mnt/work/$top"
  mount -t overlay overlay -o "lowerdir=/$top,upperdir=/mnt/$top,workdir=/mnt/work/$top" "/$top"
done
mkdir -p /var/lib/docker
mount --bind /mnt/docker /var/lib/docker
mount --bind /mnt/root /root
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd /run/lab
mount --bind /mnt/socket /run/lab
umount /mnt
mount -t tmpfs -o mode=1777 tmpfs /tmp
hostname "$name"

/usr/sbin/sshd
setsid /etc/lab-engine &
while :; do sleep 86400 & wait; done
