#!/usr/bin/env bash
# What the release program costs when it does nothing, and how soon it answers: VmRSS in MiB, and milliseconds from exec to the first
# answered health call; the median of several starts, on the data folder of the start before. `scripts/measure.sh [STARTS]`.
#
# It builds the release program unless PLAZA_BIN names one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -z "${PLAZA_BIN:-}" ]; then
  cargo build --locked --release --package onebox --bin plaza
  PLAZA_BIN=${CARGO_TARGET_DIR:-target}/release/plaza
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PLAZA_BIN=$(realpath "$PLAZA_BIN") python3 - "$work" "${1:-9}" <<'PYTHON'
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


times, sizes = [], []
for _ in range(starts):
    ports = free_ports(5)
    names = ["SSO", "SMS", "SOCIAL", "BLOG"]
    environment = {**os.environ, **{f"PLAZA_{name}__LISTEN": f"127.0.0.1:{port}" for name, port in zip(names, ports)}}
    environment["PLAZA_ONEBOX__ADMIN__LISTEN"] = f"127.0.0.1:{ports[4]}"
    began = time.monotonic()
    with open(os.path.join(work, "log"), "w") as log:
        plaza = subprocess.Popen([os.environ["PLAZA_BIN"]], cwd=work, env=environment, stdout=log, stderr=log)
    for port in ports[:4]:
        answered(port, began + 60)
    times.append((time.monotonic() - began) * 1000)
    time.sleep(2)
    sizes.append(resident(plaza.pid))
    plaza.terminate()
    plaza.wait(timeout=30)

print(f"starts                                      {starts}, the first on an empty folder")
print(f"exec to all four healthy, the first         {times[0]:.0f} ms")
print(f"exec to all four healthy, median            {statistics.median(times):.0f} ms")
print(f"resident memory after 2 s idle, median      {statistics.median(sizes):.1f} MiB (VmRSS)")
PYTHON
