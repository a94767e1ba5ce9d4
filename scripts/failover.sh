#!/usr/bin/env bash
# Kills a PostgreSQL primary under a stream of people who sign up, change and are deleted, and promotes its standby: whatever was acknowledged is there, and the stream goes on.
# Everything runs over TLS to a cluster made for the run out of Debian's package (`postgresql`). The last line is `N passed, N failed`.
#
#   scripts/failover.sh [--sign-ups N] [--rate N]
#
# The standby is synchronous, as it has to be if nothing acknowledged may be lost. As root, the servers run as the user postgres.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --locked --workspace --bins
bin=$(realpath "${CARGO_TARGET_DIR:-target}/debug")
PYTHONDONTWRITEBYTECODE=1 python3 scripts/crash/failover.py "$bin" "$work" "$@"
