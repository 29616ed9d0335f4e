# shellcheck shell=bash
# Debian systems of their own in a directory, for tests/debian13 and tests/packages; to be sourced. Needs root.
#
#   DIR/base       what debootstrap makes, never changed afterwards
#   DIR/<name>     a copy of it to work in
#
# What is mounted and what runs in a copy ends with chroot_leave, and with chroot_halt when it was started; a trap calls both
# at exit.
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
    # An installation of Debian 12 makes it, debootstrap does not.
    [ -e "$dir/base.part/etc/hosts" ] || printf '127.0.0.1\tlocalhost\n::1\tlocalhost\n' >"$dir/base.part/etc/hosts"
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

# chroot_tree ROOT: the files of the project, as they are in the work tree, in ROOT/src. What is there and the same keeps its
# time, and what is not has a new one: ROOT/src/build may be younger than a change that it has not seen.
chroot_tree() {
    local src=$1/src file

    mkdir -p "$src"
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard
    else
        find . \( -path ./build -o -name __pycache__ \) -prune -o \( -type f -o -type l \) -printf '%P\n'
    fi | sort >"$1/files"
    (cd "$src" && find . -path ./build -prune -o ! -type d -printf '%P\n') | sort | comm -13 "$1/files" - |
        while read -r file; do rm -f "$src/$file"; done
    while read -r file; do
        if [ -e "$file" ] && ! cmp -s "$file" "$src/$file"; then
            mkdir -p "$(dirname "$src/$file")"
            cp --no-dereference --preserve=mode "$file" "$src/$file"
        fi
    done <"$1/files"
    rm "$1/files"
}

# ---- a system that runs: with namespaces of its own, and systemd as the first process in them ----

# chroot_boot ROOT: the process that the others end with is in $chroot_first afterwards. 77: this machine lacks something.
chroot_boot() {
    local groups

    groups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
    if [ ! -d "$groups" ] || [ ! -c /dev/autofs ]; then
        echo "no cgroup2 or no /dev/autofs here: no systemd can be started" >&2
        return 77
    fi
    chroot_groups=$groups/mq-systemd.$$
    mkdir -p "$chroot_groups"
    # shellcheck disable=SC2016 # for the shells inside
    (
        echo "$BASHPID" >"$chroot_groups/cgroup.procs"
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin unshare --mount --propagation private --pid --fork --kill-child \
            --uts --ipc --net --cgroup sh -ec '
                mount --bind "$1" "$1"
                mount -t proc proc "$1/proc"
                mount -t sysfs sysfs "$1/sys"
                mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
                mount -t tmpfs -o mode=755 run "$1/run"
                mount -t tmpfs -o mode=755 dev "$1/dev"
                mkdir "$1/dev/pts" "$1/dev/shm" "$1/.before"
                mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$1/dev/pts"
                mount -t tmpfs -o mode=1777 shm "$1/dev/shm"
                for name in null zero full random urandom tty fuse autofs; do
                    cp -a "/dev/$name" "$1/dev/"
                done
                chmod 666 "$1/dev/fuse"
                ln -s pts/ptmx "$1/dev/ptmx"
                ln -s /proc/self/fd "$1/dev/fd"
                cd "$1"
                pivot_root . .before
                exec chroot . /bin/sh -ec "
                    umount -l /.before
                    rmdir /.before
                    mount --make-rshared /
                    exec env container=other /lib/systemd/systemd --system --unit=multi-user.target"
            ' sh "$1"
    ) </dev/null >/dev/null 2>&1 &
    chroot_first=$!
}

# chroot_inside COMMAND...: in the system that runs.
chroot_inside() {
    local first

    first=$(pgrep -P "$chroot_first")
    nsenter -t "$first" --mount --pid --uts --ipc --net --cgroup --root --wdns=/ \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root "$@"
}

# chroot_up: waits until it has started; degraded: modules of the kernel and the like are not its own.
chroot_up() {
    for _ in {1..300}; do
        case $(chroot_inside systemctl is-system-running 2>/dev/null) in running | degraded) return 0 ;; esac
        sleep 0.1
    done
    echo "systemd has not started within 30 s" >&2
    return 1
}

# chroot_down: powers it off; chroot_halt ends it in any case.
chroot_down() {
    chroot_inside systemctl poweroff
    for _ in {1..300}; do
        kill -0 "$chroot_first" 2>/dev/null || break
        sleep 0.1
    done
    ! kill -0 "$chroot_first" 2>/dev/null || {
        echo "it does not power off within 30 s" >&2
        return 1
    }
    chroot_halt
}

chroot_halt() {
    [ -n "${chroot_first:-}" ] || return 0
    kill -KILL "$chroot_first" 2>/dev/null || true
    wait "$chroot_first" 2>/dev/null || true
    chroot_first=
    for _ in {1..50}; do
        ! find "$chroot_groups" -depth -type d -exec rmdir {} + 2>/dev/null || break
        sleep 0.1
    done
}
