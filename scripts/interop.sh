#!/usr/bin/env bash
# gRPC's interoperability cases (grpc/grpc, doc/interop-test-descriptions.md) between the mesh and the gRPC of Python and of JavaScript, in
# both directions. The last line is `N passed, N failed`.
#
# It builds `interop`, and gets the others by pip and npm into a temporary folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

readonly GRPCIO=1.85.1 GRPC_JS=1.14.7 PROTO_LOADER=0.8.1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --locked --workspace --bins
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "grpcio==$GRPCIO" "grpcio-tools==$GRPCIO"
npm install --silent --no-fund --no-audit --prefix "$work/node" "@grpc/grpc-js@$GRPC_JS" "@grpc/proto-loader@$PROTO_LOADER"

bin=$(realpath "${CARGO_TARGET_DIR:-target}/debug/interop")
PYTHONDONTWRITEBYTECODE=1 "$work/venv/bin/python" scripts/interop "$bin" "$work/node/node_modules"
