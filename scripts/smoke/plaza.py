"""The program under test, and grpcurl to speak to it."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from checks import Broken

COOL_DOWN = 6  # seconds between two messages
SERVICES = ["sso", "sms", "social", "blog"]
PAGE = "https://plaza.example"  # whose pages may call
CODES = [
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
]  # by number, as in google.rpc.Code


class Answer:
    """What grpcurl made of a call."""

    def __init__(self, method, code, body, message="", details=()):
        self.method, self.code, self.body, self.message, self.details = method, code, body, message, list(details)

    def detail(self, kind):
        """The error detail google.rpc.<kind>, or {}."""
        wanted = f"type.googleapis.com/google.rpc.{kind}"
        return next((detail for detail in self.details if detail.get("@type") == wanted), {})

    def reason(self):
        return self.detail("ErrorInfo").get("reason")

    def retry_seconds(self):
        return float(self.detail("RetryInfo").get("retryDelay", "nan").rstrip("s"))

    def __repr__(self):
        return f"{self.method} -> {self.code} {self.message} {self.details or ''}".rstrip()


def free_ports(count):
    """Ports nobody has, below those that outgoing connections are given."""
    found = []
    while len(found) < count:
        port = random.randrange(20000, 32768)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


class Plaza:
    """One deployment: a data folder and four ports, started and stopped any number of times."""

    def __init__(self, program, folder):
        self.program, self.folder = program, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = self.folder / "data"
        *ports, self.admin, self.web = free_ports(len(SERVICES) + 2)
        self.ports = dict(zip(SERVICES, ports))
        self.transport = ["-plaintext"]
        self.process = None
        self.starts = 0
        # Short enough to be waited for, and longer than a slow machine takes from one call to the next.
        self.settings = {"PLAZA_SMS__LIMITS__COOL_DOWN_SECONDS": f"[{COOL_DOWN}]"}

    def environment(self, **settings):
        plain = {name: value for name, value in os.environ.items() if not name.startswith("PLAZA_")}
        listen = {f"PLAZA_{name.upper()}__LISTEN": f"127.0.0.1:{port}" for name, port in self.ports.items()}
        # Separate processes have one each; all in one has this one.
        listen |= {f"PLAZA_{name.upper()}__ADMIN__LISTEN": "" for name in self.ports}
        listen["PLAZA_ONEBOX__ADMIN__LISTEN"] = f"127.0.0.1:{self.admin}"
        listen["PLAZA_ONEBOX__WEB__LISTEN"] = f"127.0.0.1:{self.web}"
        listen["PLAZA_ONEBOX__WEB__ORIGINS"] = f"[\"{PAGE}\"]"
        return {**plain, **listen, **self.settings, **settings}

    def run(self, *arguments, **settings):
        """Runs the program to its end."""
        return subprocess.run(
            [self.program, *arguments], cwd=self.folder, env=self.environment(**settings), capture_output=True, text=True, timeout=60
        )

    def start(self, limits=None, stderr=None):
        """Starts the program, within what `limits` sets, its log going into a file unless it is to go to `stderr`; the seconds until its welcome stood on standard output."""
        self.starts += 1
        out, log = (self.folder / f"{kind}.{self.starts}" for kind in ("out", "log"))
        self.output, self.log = out, log
        with out.open("w") as stdout, log.open("w") as file:
            began = time.monotonic()
            self.process = subprocess.Popen(
                [self.program], cwd=self.folder, env=self.environment(), stdout=stdout, stderr=stderr or file, preexec_fn=limits
            )
        while "GetProvisioning" not in out.read_text():
            if self.process.poll() is not None or time.monotonic() - began > 60:
                raise Broken(f"it did not start: {log.read_text()}")
            time.sleep(0.01)
        took = time.monotonic() - began
        # The welcome comes just before the first answer; health says when that is.
        for name in SERVICES:
            while self.call(name, "grpc.health.v1.Health/Check").code != "OK":
                time.sleep(0.05)
        return took

    def stop(self, how=signal.SIGTERM):
        """Sends a signal; the exit code."""
        self.process.send_signal(how)
        return self.process.wait(timeout=30)

    def logged(self, words):
        """Waits until the log has the words, for ten seconds at most."""
        patience = time.monotonic() + 10
        while words not in self.log.read_text():
            if time.monotonic() > patience:
                raise Broken(f"the log does not say {words!r}")
            time.sleep(0.01)

    def welcome(self):
        return self.output.read_text()

    def pasted(self, line):
        """Runs a line of the welcome in a shell, as a person would; its output."""
        return subprocess.run(["bash", "-c", line], cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=30)

    def operator(self, *arguments):
        """A fresh token for an operator."""
        made = self.run("token", "--operator", *arguments)
        if made.returncode:
            raise Broken(f"no operator's token: {made.stderr}")
        return made.stdout.strip()

    def call(self, service, method, body=None, token=None, contract=()):
        """Calls a method, and takes the answer apart."""
        headers = ["-H", f"authorization: Bearer {token}"] if token else []
        command = ["grpcurl", *self.transport, "-emit-defaults", "-format-error", "-max-time", "10", *contract, *headers]
        command += ["-d", json.dumps(body or {}), f"127.0.0.1:{self.ports[service]}", method]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        if done.returncode == 0:
            return Answer(method, "OK", json.loads(done.stdout))
        # 64 and the status code; anything else is grpcurl's own trouble.
        if not 64 < done.returncode < 64 + len(CODES):
            return Answer(method, "NO ANSWER", None, done.stderr)
        found = re.search(r"\{.*\}", done.stderr, re.DOTALL)
        status = json.loads(found.group()) if found else {}
        return Answer(method, CODES[done.returncode - 64], None, status.get("message", ""), status.get("details", ()))

    def inbox(self, destination):
        """The messages to a destination, newest first."""
        return self.call("sms", "sms.v1.InboxService/ListMessages", {"destination": destination}).body["messages"]
