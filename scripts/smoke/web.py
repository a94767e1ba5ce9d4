"""What browsers reach: gRPC-Web over HTTP/1.1, one port for all services."""

import base64
import json
import os
import subprocess
from pathlib import Path

from plaza import PAGE

EMPTY = bytes(5)  # one message without a field


def send(plaza, how, path, origin, body=b"", **headers):
    """curl's answer: status, headers in lower case, body."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in {"origin": origin, **headers}.items()]
    named = [part for line in lines for part in ("-H", line)]
    command = ["curl", "--http1.1", "-sS", "-i", "-m", "10", "-X", how, *named]
    if how == "POST":
        command += ["--data-binary", "@-"]
    done = subprocess.run([*command, f"http://127.0.0.1:{plaza.web}/{path}"], input=body, capture_output=True, check=True)
    head, _, rest = done.stdout.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    return int(first.split()[1]), {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}, rest


def browsers(checks, plaza):
    """Pages that are named, and others; what persons may call, and nothing else."""
    asks = {"access_control_request_method": "POST", "access_control_request_headers": "content-type,x-grpc-web"}
    binary = {"content_type": "application/grpc-web+proto", "x_grpc_web": "1"}
    for origin, status, allowed in [(PAGE, 204, PAGE), ("https://elsewhere.example", 403, None)]:
        told, headers, _ = send(plaza, "OPTIONS", "sso.v1.AuthService/SignUp", origin, **asks)
        checks.equal((told, headers.get("access-control-allow-origin")), (status, allowed), f"preflight from {origin}")
        told, headers, _ = send(plaza, "POST", "sso.v1.AuthService/SignUp", origin, EMPTY, **binary)
        checks.equal(headers.get("access-control-allow-origin"), allowed, f"call from {origin}")
        checks.equal(headers.get("grpc-status"), "3" if allowed else None, f"SignUp from {origin}")
    for method, status in [
        ("social.v1.ProfileService/UpdateProfile", "16"), ("sms.v1.OtpService/SendOtp", "12"), ("sso.v1.UserService/ListUsers", "12"),
    ]:
        _, headers, _ = send(plaza, "POST", method, PAGE, EMPTY, **binary)
        checks.equal(headers.get("grpc-status"), status, f"{method} by gRPC-Web")
    text = {"content_type": "application/grpc-web-text", "accept": "application/grpc-web-text"}
    _, _, body = send(plaza, "POST", "sms.v1.InboxService/ListMessages", PAGE, base64.b64encode(EMPTY), **text)
    # Each frame is padded by itself, and a padding ends what is decoded at a time.
    frames = b"".join(base64.b64decode(part + b"=" * (-len(part) % 4)) for part in body.replace(b"=", b" ").split())
    checks.that(b"grpc-status:0" in frames, f"the inbox by base64: {frames!r}")


def page(checks, plaza):
    """A client for browsers that nobody here wrote."""
    if not os.environ.get("NODE_PATH"):
        return
    protoset = plaza.folder / "contracts.bin"
    services = {"sso": ["sso.v1.AuthService", "sso.v1.UserService"], "social": ["social.v1.ProfileService"]}
    sets = b""
    for service, names in services.items():
        for name in names:
            command = ["grpcurl", "-plaintext", "-protoset-out", protoset, f"127.0.0.1:{plaza.ports[service]}", "describe", name]
            subprocess.run(command, capture_output=True, check=True, timeout=30)
            # Sets in a row are one set.
            sets += protoset.read_bytes()
            protoset.unlink()
    protoset.write_bytes(sets)
    command = ["node", Path(__file__).with_name("page.js"), f"http://127.0.0.1:{plaza.web}", protoset, PAGE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    codes = [answer["code"] for answer in said]
    checks.equal(codes, ["Ok", "InvalidArgument", "Unauthenticated", "Unimplemented"], f"Connect's client for browsers: {done.stderr}")
    checks.that(said and str(said[0].get("user")).startswith("page-"), f"the user who signed up: {said}")
    checks.that(len(said) > 1 and "google.rpc.BadRequest" in said[1].get("details", ()), f"what was wrong: {said}")
