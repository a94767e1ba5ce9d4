#!/usr/bin/env bash
# What the release programs cost when they do nothing, and how soon they answer: VmRSS in MiB, and milliseconds from exec to the first
# answered health call; all four in one process, and each alone. The median of several starts, each on the data folder of the start before.
# `scripts/measure.sh [STARTS]`.
#
# It builds the release programs unless PLAZA_BINS names a folder of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -z "${PLAZA_BINS:-}" ]; then
  cargo build --locked --release --package onebox --package sso --package sms --package social --package blog --bins
  PLAZA_BINS=${CARGO_TARGET_DIR:-target}/release
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PLAZA_BINS=$(realpath "$PLAZA_BINS") python3 - "$work" "${1:-9}" <<'PYTHON'
import os, re, socket, statistics, subprocess, sys, time

work, starts = sys.argv[1], int(sys.argv[2])


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def field(name, value):
    """A header as HPACK spells it without tables and without Huffman (RFC 7541, 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def health_call():
    """grpc.health.v1.Health/Check with an empty request: everything a client sends, in one piece."""
    headers = {
        ":method": "POST", ":scheme": "http", ":path": "/grpc.health.v1.Health/Check", ":authority": "localhost",
        "content-type": "application/grpc", "te": "trailers",
    }
    block = b"".join(field(name, value) for name, value in headers.items())
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(1, 4, 1, block) + frame(0, 1, 1, b"\0\0\0\0\0")
    )


def answered(port, deadline):
    """Waits until the call is answered with SERVING."""
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(health_call())
                received = b""
                while b"\0\0\0\0\2\x08\1" not in received:  # a message of two bytes: status = SERVING
                    more = connection.recv(4096)
                    if not more:
                        break
                    received += more
                else:
                    return
        except ConnectionRefusedError:
            time.sleep(0.0005)
    sys.exit("no answer")


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def resident(pid):
    """VmRSS in MiB."""
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) / 1024


SERVICES = ["sso", "sms", "social", "blog"]


def start(program, settings, folder, ports):
    """Starts a program, and returns how long it took to answer on all ports, and its memory once it has settled."""
    os.makedirs(folder, exist_ok=True)
    began = time.monotonic()
    with open(os.path.join(folder, "log"), "w") as log:
        command = [os.path.join(os.environ["PLAZA_BINS"], program)]
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **settings}, stdout=log, stderr=log)
    for port in ports:
        answered(port, began + 60)
    took = (time.monotonic() - began) * 1000
    time.sleep(2)
    size = resident(process.pid)
    process.terminate()
    process.wait(timeout=30)
    return took, size


def alone(service):
    own, admin = free_ports(2)
    name = f"PLAZA_{service.upper()}"
    settings = {f"{name}__LISTEN": f"127.0.0.1:{own}", f"{name}__ADMIN__LISTEN": f"127.0.0.1:{admin}"}
    return start(service, settings, os.path.join(work, service), [own])


def together():
    admin, *ports = free_ports(5)
    settings = {f"PLAZA_{name.upper()}__LISTEN": f"127.0.0.1:{port}" for name, port in zip(SERVICES, ports)}
    settings["PLAZA_ONEBOX__ADMIN__LISTEN"] = f"127.0.0.1:{admin}"
    return start("plaza", settings, os.path.join(work, "plaza"), ports)


print(f"{'':<12}{'first start ms':>16}{'start ms':>12}{'idle MiB':>12}   medians of {starts}, but for the first, on an empty folder")
for name, measure in [("plaza", together)] + [(service, lambda service=service: alone(service)) for service in SERVICES]:
    times, sizes = zip(*(measure() for _ in range(starts)))
    print(f"{name:<12}{times[0]:>16.0f}{statistics.median(times):>12.0f}{statistics.median(sizes):>12.1f}")
PYTHON
