"""Kills a primary under a stream of people who sign up, change and are deleted, promotes its standby, and counts who is missing."""

import argparse
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

from cluster import Cluster
from deployment import Site, free_port
from findings import catch_up, look


class Run:
    """A cluster and a deployment on it: each check below stands on the ones before."""

    def __init__(self, arguments):
        self.arguments, self.work = arguments, arguments.work
        for folder in ["certs", "strangers"]:
            subprocess.run([arguments.bin / "plaza", "certs", "--out", self.work / folder], check=True, stdout=subprocess.DEVNULL)
        self.cluster = Cluster(self.work / "cluster", self.work / "certs/sso.pem", self.work / "certs/sso.key")
        self.cluster.start_primary()
        self.cluster.start_standby()
        self.site = Site(arguments.bin, self.work / "site", "separate", self.url("verify-full", "certs"))

    def url(self, mode, roots=None):
        settings = f"sslmode={mode}" + (f"&sslrootcert={self.work}/{roots}/roots.pem&channel_binding=require" if roots else "")
        return self.cluster.url(settings=settings)

    def close(self):
        self.site.stop()
        for name in ["primary", "standby"]:
            self.cluster.stop(name)

    def alone(self, url, admin=None):
        """Starts Blog by itself on another address."""
        _, settings = self.site.programs["blog"]
        changed = {**settings, "PLAZA_BLOG__DATABASE_URL": url, "PLAZA_BLOG__LISTEN": f"127.0.0.1:{free_port()}"}
        if admin:
            changed["PLAZA_BLOG__ADMIN__LISTEN"] = f"127.0.0.1:{admin}"
        self.site.programs["alone"] = (["blog"], changed)
        self.site.start("alone")
        del self.site.programs["alone"]
        return self.site.processes.pop("alone"), self.site.folder / "log.alone"

    def what_is_not_proven_is_refused(self):
        for mode, roots, said in [("verify-full", "strangers", "invalid peer certificate"), ("disable", None, "no encryption")]:
            process, log = self.alone(self.url(mode, roots))
            code = process.wait(timeout=20)
            assert code == 1 and said in log.read_text(), f"{mode}: code {code}, {log.read_text()[-500:]}"

    def a_start_without_a_server_waits_and_can_be_stopped(self):
        port = free_port()
        nowhere = f"postgres://postgres@127.0.0.1:{free_port()}/nowhere"
        process, log = self.alone(nowhere, admin=port)
        until(lambda: "waiting for the database" in log.read_text(), "a line that it waits")
        answer = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{port}/readyz"], capture_output=True, text=True)
        assert answer.stdout == "503", f"ready without a database: {answer.stdout}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0, "a signal did not stop it"

    def nothing_acknowledged_is_lost(self):
        self.site.start_all()
        acknowledged, count = self.work / "acknowledged", self.arguments.sign_ups
        stream = self.site.stream(count, self.arguments.rate, acknowledged)
        lines = lambda: len(acknowledged.read_text().splitlines()) if acknowledged.exists() else 0  # noqa: E731
        until(lambda: lines() > count // 3, "a good part of them")
        plain = self.cluster.sql("SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'plaza' AND NOT ssl")
        assert plain == "0", f"{plain} sessions of Plaza are in plain text"
        self.cluster.kill_primary()
        before, killed = lines(), time.monotonic()
        self.cluster.promote()
        promoted = time.monotonic()
        until(lambda: lines() > before + 20, "an answer after the promotion")
        print(f"  promoted {promoted - killed:.1f} s after the kill, the next acknowledged {time.monotonic() - promoted:.1f} s later at most; {before} were before")
        assert stream.wait(timeout=600) == 0, "the stream of people came to no end"
        left = catch_up(self.site)
        assert not self.site.ended(), f"{self.site.ended()} ended by themselves"
        self.site.stop()
        assert look(self.site, acknowledged, "1 primary killed", left), "somebody is missing"


def until(holds, what):
    patience = time.monotonic() + 120
    while not holds():
        if time.monotonic() > patience:
            raise RuntimeError(f"no sign of {what}")
        time.sleep(0.02)


def main():
    parser = argparse.ArgumentParser(prog="scripts/failover.sh")
    parser.add_argument("bin", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--sign-ups", type=int, default=600)
    parser.add_argument("--rate", type=int, default=40, help="sign-ups a second, at most")
    run = Run(parser.parse_args())
    checks = [run.what_is_not_proven_is_refused, run.a_start_without_a_server_waits_and_can_be_stopped, run.nothing_acknowledged_is_lost]
    passed = 0
    try:
        for check in checks:
            name = check.__name__.replace("_", " ")
            try:
                check()
                passed += 1
                print(f"passed: {name}", flush=True)
            except Exception:  # noqa: BLE001: the next check is to run
                traceback.print_exc()
                print(f"FAILED: {name}", flush=True)
    finally:
        run.close()
    print(f"{passed} passed, {len(checks) - passed} failed")
    sys.exit(passed != len(checks))


main()
