"""What browsers reach: gRPC-Web over HTTP/1.1, one port for all services."""

import base64
import subprocess

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
