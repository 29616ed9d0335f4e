#!/usr/bin/env bash
# The flags with which one file of src/ compiles, for tools that look at files and not at a build. Sourced: sets `flags`.
packages='fuse3 libcurl json-c libzip sqlite3 libcrypto yara libmicrohttpd inih libseccomp libcap-ng'
# shellcheck disable=SC2034,SC2086 # for who sources this; several words
read -ra flags <<<"-std=gnu17 -D_GNU_SOURCE -DMQFS_VERSION=\"\" -UNDEBUG -Isrc $(pkg-config --cflags $packages 2>/dev/null)"
