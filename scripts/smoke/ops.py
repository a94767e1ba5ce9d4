"""What whoever runs Plaza sees: the admin port."""

import http.client
import os
import re
import resource
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from checks import Broken
from plaza import PAGE, SERVICES

# What only a program with a certificate tells, of what alerts are about.
CERTIFICATE = "plaza_certificate_end_timestamp_seconds"
ALERTS = Path(__file__).resolve().parents[2] / "k8s/alerts.yaml"


def get(plaza, path):
    """Status and text."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{plaza.admin}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def admin(checks, plaza):
    """Alive, ready, healthy, and counted under OpenTelemetry's names."""
    checks.equal(get(plaza, "/livez"), (200, "alive\n"), "/livez")
    status, text = get(plaza, "/readyz")
    checks.equal(status, 200, "/readyz")
    for check in [*(f"{service}/database" for service in SERVICES), "social/keys", "blog/keys"]:
        checks.that(f"{check} ok\n" in text, f"{check} is not in {text!r}")
    checks.equal(get(plaza, "/")[0], 404, "/")
    page = get(plaza, "/metrics")[1]
    called = r'rpc_{side}_call_duration_seconds_count{{service="{service}",rpc_system_name="grpc",rpc_method="{method}",rpc_response_status_code="{code}"[^}}]*}} [1-9]'
    for side, service, method, code in [
        ("server", "sso", "sso.v1.AuthService/SignUp", "OK"),
        ("server", "social", "social.v1.UserService/CreateUser", "OK"),
        ("server", "sso", "sso.v1.TokenService/ListPublicKeys", "PERMISSION_DENIED"),
        ("client", "sso", "sms.v1.OtpService/SendOtp", "OK"),
        ("client", "blog", "sso.v1.TokenService/ListPublicKeys", "OK"),
    ]:
        wanted = called.format(side=side, service=service, method=re.escape(method), code=code)
        checks.that(re.search(wanted, page), f"{side} {method} {code} is not counted")
    for figure in [
        'db_client_operation_duration_seconds_count{service="sso",db_system_name="sqlite",db_operation_name="create_user"}',
        'db_client_connection_pending_requests{service="sms",db_system_name="sqlite",db_client_connection_pool_name="write"}',
        'plaza_db_connections_open{service="blog",db_system_name="sqlite"}',
        'plaza_channel_retry_tokens{service="sso",grpc_target="sms"}',
    ]:
        checks.that(f"\n{figure} " in page, f"{figure} is not told")
    for figure in sorted(set(re.findall(r"\bplaza_\w+", ALERTS.read_text())) - {CERTIFICATE}):
        checks.that(f"\n{figure}{{" in page, f"{figure}, which an alert is about, is not told")
    promtool(checks, page)


def crowded(checks, plaza):
    """More connections than a shell lets a program have, of which nothing comes: it is alive, and answers."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    plaza.stop()
    plaza.start(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)))
    with ExitStack() as idle:
        for _ in range(300):
            idle.enter_context(socket.create_connection(("127.0.0.1", plaza.ports["sms"]), timeout=10))
        checks.equal(get(plaza, "/livez")[0], 200, "/livez among idle connections")
        checks.ok(plaza.call("sso", "grpc.health.v1.Health/Check"))


def unread(checks, plaza):
    """Nobody reads the log, and everybody is served, to the end."""
    plaza.stop()
    reader, writer = os.pipe()
    plaza.start(stderr=writer)
    page = http.client.HTTPConnection("127.0.0.1", plaza.web, timeout=10)
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", "origin": PAGE}
    codes = set()
    for _ in range(2000):
        # Each is a line of the log, and a pipe holds fewer.
        page.request("POST", "/sso.v1.AuthService/SignUp", bytes(5), headers)
        answer = page.getresponse()
        answer.read()
        codes.add(answer.headers["grpc-status"])
    checks.equal(codes, {"3"}, "answers while nobody reads the log")
    checks.equal(get(plaza, "/livez")[0], 200, "/livez while nobody reads the log")
    began = time.monotonic()
    checks.equal(plaza.stop(), 0, "exit code while nobody reads the log")
    checks.that(time.monotonic() - began < 12, f"it took {time.monotonic() - began:.1f} s to stop")
    os.close(writer)
    os.close(reader)
    plaza.start()


def certificate(checks, plaza):
    """Over TLS, the page tells when the certificate in use ends: in a year, if `plaza certs` has just made it."""
    ends = re.search(rf'\n{CERTIFICATE}{{service="sso"}} (\S+)', get(plaza, "/metrics")[1])
    days = (float(ends[1]) - time.time()) / 86400 if ends else None
    checks.that(days and 360 < days < 370, f"{CERTIFICATE} is told to be in {days} days")


def collector_gone(program):
    """Settings by which a program tells its metrics to a collector that is not there."""
    return {f"PLAZA_{program}__TELEMETRY__ENDPOINT": "http://127.0.0.1:1", f"PLAZA_{program}__TELEMETRY__METRICS_SECONDS": "1"}


def tells_in_vain(checks, plaza):
    """A program begins to tell a collector by itself, and goes on without it."""
    patience = time.monotonic() + 10
    while not re.search(r'\nplaza_telemetry_pushes_total{outcome="failed"} [1-9]', get(plaza, "/metrics")[1]):
        if time.monotonic() > patience:
            raise Broken("no metrics were told")
        time.sleep(0.1)
    checks.equal(get(plaza, "/readyz")[0], 200, "/readyz without the collector")


def promtool(checks, page):
    """Prometheus' own opinion of the page and the alerts, where there is one; PLAZA_PROMTOOL demands it."""
    program = os.environ.get("PLAZA_PROMTOOL") or shutil.which("promtool")
    if program:
        said = subprocess.run([program, "check", "metrics"], input=page, capture_output=True, text=True)
        checks.equal((said.returncode, said.stdout + said.stderr), (0, ""), "promtool check metrics")
        said = subprocess.run([program, "check", "rules", ALERTS], capture_output=True, text=True)
        checks.equal(said.returncode, 0, f"promtool check rules: {said.stdout}{said.stderr}")
