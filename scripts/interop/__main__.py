"""Runs the cases: `python scripts/interop INTEROP NODE_MODULES`, with a Python that has grpcio and grpcio-tools."""

import os
import subprocess
import sys
from pathlib import Path

here = Path(__file__).parent
root = here.parent.parent
PROTOS = [str(root / "interop/proto"), str(root / "proto")]
CASES = 17
# What Python tries besides: a request that is compressed.
PYTHONS = CASES + 1
PATIENCE = 120

interop, modules = sys.argv[1:]
environment = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(PROTOS),
    "NODE_PATH": modules,
    "INTEROP_PROTOS": ":".join(PROTOS),
}
mesh = [interop]
python = [sys.executable, str(here / "peer.py")]
node = ["node", str(here / "peer.js")]


def run(client, server):
    """The lines that the client prints, a case each."""
    serving = subprocess.Popen([*server, "serve"], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        address = serving.stdout.readline().strip()
        called = subprocess.run(
            [*client, "call", address], env=environment, stdout=subprocess.PIPE, text=True, timeout=PATIENCE
        )
        return [line for line in called.stdout.splitlines() if line.startswith(("passed ", "failed "))]
    finally:
        serving.kill()
        serving.wait()


passed = failed = 0
for name, client, server, cases in [
    ("mesh calls mesh", mesh, mesh, CASES),
    ("grpcio calls mesh", python, mesh, PYTHONS),
    ("grpc-js calls mesh", node, mesh, CASES),
    ("mesh calls grpcio", mesh, python, CASES),
    ("mesh calls grpc-js", mesh, node, CASES),
]:
    lines = run(client, server)
    good = sum(line.startswith("passed ") for line in lines)
    passed, failed = passed + good, failed + cases - good
    print(f"{name}: {good} of {cases}")
    for line in lines:
        if not line.startswith("passed "):
            print(f"  {line}")
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
