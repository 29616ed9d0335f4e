# shellcheck shell=bash
# Debian systems of their own in a directory, for tests/debian13 and tests/packages; to be sourced. Needs root.
#
#   DIR/base       what debootstrap makes, never changed afterwards
#   DIR/<name>     a copy of it to work in
#
# What is mounted and what runs in a copy ends with chroot_leave, which a trap calls at exit.
: "${MALQUERYFS_MIRROR:=http://deb.debian.org/debian}" # of Debian; another one by the environment

chroot_say() {
    echo "+ $*"
}

# chroot_base RELEASE DIR: makes DIR/base unless it is there.
chroot_base() {
    local release=$1 dir=$2

    [ ! -d "$dir/base" ] || return 0
    if ! command -v debootstrap >/dev/null; then
        echo "debootstrap is not installed: packaging/install-dependencies chroot" >&2
        return 1
    fi
    rm -rf --one-file-system -- "$dir/base.part"
    mkdir -p "$dir"
    chroot_say "debootstrap $release $dir/base"
    debootstrap --variant=minbase "$release" "$dir/base.part" "$MALQUERYFS_MIRROR" >"$dir/debootstrap.log" 2>&1 || {
        tail -n 5 "$dir/debootstrap.log" >&2
        return 1
    }
    mknod -m 666 "$dir/base.part/dev/fuse" c 10 229
    # No package that is installed there may start a service.
    printf '#!/bin/sh\nexit 101\n' >"$dir/base.part/usr/sbin/policy-rc.d"
    chmod 755 "$dir/base.part/usr/sbin/policy-rc.d"
    mv "$dir/base.part" "$dir/base"
}

# chroot_copy DIR NAME: a fresh copy of DIR/base.
chroot_copy() {
    chroot_leave "$1/$2"
    rm -rf --one-file-system -- "${1:?}/$2" "$1/$2.part"
    cp -a --reflink=auto "$1/base" "$1/$2.part"
    mv "$1/$2.part" "$1/$2"
}

# chroot_enter ROOT: mounts what programs in it expect. ROOT becomes a mount of its own, so that nothing gets out of it.
chroot_enter() {
    local root=$1

    chroot_leave "$root"
    mount --bind "$root" "$root"
    mount --make-private "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
}

# chroot_run ROOT COMMAND...: with an environment of its own.
chroot_run() {
    local root=$1
    shift
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
        DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
}

# The processes that work in ROOT.
chroot_processes() {
    local entry

    for entry in /proc/[0-9]*; do
        [ "$(readlink "$entry/root" 2>/dev/null)" != "$1" ] || echo "${entry#/proc/}"
    done
}

# chroot_leave ROOT: ends what runs in it and unmounts what is mounted in it, the last one first.
chroot_leave() {
    local root signal pid place

    root=$(realpath -m -- "$1")
    for signal in TERM KILL; do
        for pid in $(chroot_processes "$root"); do
            kill -s "$signal" "$pid" 2>/dev/null || true
        done
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            [ -n "$(chroot_processes "$root")" ] || break
            sleep 0.2
        done
    done
    while read -r place; do
        umount "$place" 2>/dev/null || umount -l "$place" || true
    done < <(awk -v root="$root" '$5 == root || index($5, root "/") == 1 { print $5 }' /proc/self/mountinfo | tac)
}

# chroot_tree ROOT: the files of the project, as they are in the work tree, in ROOT/src.
chroot_tree() {
    local root=$1

    mkdir -p "$root/src"
    find "$root/src" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf --one-file-system -- {} +
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard
    else
        find . \( -path ./build -o -name __pycache__ \) -prune -o -type f -print0
    fi | tar -c --null -T - --ignore-failed-read --warning=no-failed-read | tar -x -C "$root/src" --no-same-owner
}
