#!/usr/bin/env bash
# Kills processes of Plaza at random under a stream of people, of whom half are renamed, become official, or are deleted, and then looks for what was
# lost: everybody is in SSO, Social and Blog as was acknowledged last, once; who was deleted is in none; nobody is in one of them alone. The last line is
# `N passed, N failed`.
#
#   scripts/crash.sh                                    a short run of each: all in one process and each in its own, on SQLite and on PostgreSQL
#   scripts/crash.sh --sign-ups 10000 --kills 200       the long one
#   scripts/crash.sh --engine postgres --shape separate
#
# The PostgreSQL is one of Debian's package (`postgresql`), started here, with two of SSO on it; its sessions are ended, and it is killed, too. Debug
# builds hash at cost 4 here, which no release build does.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --locked --workspace --bins
bin=$(realpath "${CARGO_TARGET_DIR:-target}/debug")
PYTHONDONTWRITEBYTECODE=1 python3 scripts/crash "$bin" "$work" "$@"
