#!/bin/sh
# enter_root.sh ROOT SCRATCH REPOSITORY HOSTNAME COMMAND...: the command runs in the root, from the repository.
# For a mount and a PID namespace of its own. What it writes outside the repository goes to memory and ends with it.
set -e
root=$1 scratch=$2 repository=$3 hostname=$4
shift 4
mount -t tmpfs tmpfs "$scratch"
mkdir "$scratch/written" "$scratch/work" "$scratch/root"
# Over the root, so that / is a mount point (the nodes' namespaces need that) and the cached root stays as it is.
mount -t overlay -o "lowerdir=$root,upperdir=$scratch/written,workdir=$scratch/work" overlay "$scratch/root"
cd "$scratch/root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p run/munge etc/slurm ".$repository" before
mount --rbind "$repository" ".$repository"
printf '127.0.0.1 localhost %s\n' "$hostname" >etc/hosts
pivot_root . before
umount -l /before
cd "$repository"
exec "$@"
