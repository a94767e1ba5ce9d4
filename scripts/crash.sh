#!/usr/bin/env bash
# Kills processes of Plaza at random under a stream of sign-ups, and then looks for what was lost: every acknowledged sign-up is in SSO,
# Social and Blog, once, and nobody is in one of them alone. The last line is `N passed, N failed`.
#
#   scripts/crash.sh                                    a short run of each shape that can run here
#   scripts/crash.sh --sign-ups 10000 --kills 200       the long one
#   scripts/crash.sh --shape separate --postgres postgres://postgres@127.0.0.1:5432/postgres --crash-server COMMAND
#
# PLAZA_TEST_POSTGRES names a PostgreSQL where databases may be made; without it, and without --postgres, the shape on PostgreSQL does not
# run. COMMAND crashes the server and starts it again. Debug builds hash at cost 4 here, which no release build does.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --locked --workspace --bins
bin=$(realpath "${CARGO_TARGET_DIR:-target}/debug")
PYTHONDONTWRITEBYTECODE=1 python3 scripts/crash "$bin" "$work" "$@"
