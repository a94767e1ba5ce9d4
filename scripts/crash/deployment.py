"""A deployment whose processes die and come back, and its databases as they lie there."""

import os
import random
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

SERVICES = ["sso", "sms", "social", "blog"]


def free_port():
    """A port nobody has, below those that outgoing connections are given."""
    while True:
        port = random.randrange(20000, 32768)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Site:
    """One deployment: `shape` is "onebox", one process, or "separate", one a service and two of SSO on PostgreSQL."""

    def __init__(self, bin_folder, folder, shape, postgres=None):
        self.bin, self.folder, self.postgres = Path(bin_folder), Path(folder), postgres
        (self.folder / "data").mkdir(parents=True, mode=0o700)
        self.ports = {name: free_port() for name in SERVICES}
        self.settings = {
            "PLAZA_SSO__PASSWORDS__COST": "4",
            "PLAZA_SMS__CARRIER__CONSOLE": "false",
            # All of them come from here.
            "PLAZA_SSO__THROTTLE__SIGN_UPS_PER_HOUR": "1000000",
        }
        if postgres:
            self.run_id = f"plaza_crash_{os.getpid()}_{random.randrange(1 << 30)}"
            for name in SERVICES:
                self.psql(postgres, f'CREATE DATABASE "{self.run_id}_{name}"')
                self.settings[f"PLAZA_{name.upper()}__DATABASE_URL"] = self.database(name)
        if shape == "onebox":
            listen = {f"PLAZA_{name.upper()}__LISTEN": f"127.0.0.1:{port}" for name, port in self.ports.items()}
            listen["PLAZA_ONEBOX__ADMIN__LISTEN"] = ""
            self.programs = {"plaza": (["plaza"], listen)}
            self.sso = [self.ports["sso"]]
        else:
            self.separate(2 if postgres else 1)
        self.processes = {}

    def separate(self, replicas):
        """Each service a process, SSO `replicas` of them."""
        for caller, callees in {"SSO": ["sms", "social", "blog"], "SOCIAL": ["sso"], "BLOG": ["sso"]}.items():
            for callee in callees:
                self.settings[f"PLAZA_{caller}__PEERS__{callee.upper()}"] = f"http://127.0.0.1:{self.ports[callee]}"
        # Two of one service would want one admin port.
        self.settings |= {f"PLAZA_{name.upper()}__ADMIN__LISTEN": "" for name in SERVICES}
        self.sso = [self.ports["sso"]] + [free_port() for _ in range(1, replicas)]
        self.programs = {f"sso-{port}": (["sso"], {"PLAZA_SSO__LISTEN": f"127.0.0.1:{port}"}) for port in self.sso}
        for name in SERVICES[1:]:
            self.programs[name] = ([name], {f"PLAZA_{name.upper()}__LISTEN": f"127.0.0.1:{self.ports[name]}"})

    def database(self, service):
        """Where a service keeps what it knows."""
        if self.postgres:
            address, _, settings = self.postgres.partition("?")
            return f"{address.rsplit('/', 1)[0]}/{self.run_id}_{service}" + (f"?{settings}" if settings else "")
        return f"sqlite:{self.folder}/data/{service}.db"

    def start(self, name):
        command, settings = self.programs[name]
        with (self.folder / f"log.{name}").open("a") as log:
            self.processes[name] = subprocess.Popen(
                [self.bin / command[0], *command[1:]], cwd=self.folder, env={**self.environment(), **settings},
                stdout=subprocess.DEVNULL, stderr=log,
            )

    def environment(self):
        plain = {key: value for key, value in os.environ.items() if not key.startswith("PLAZA_")}
        return {**plain, **self.settings}

    def start_all(self):
        for name in self.programs:
            self.start(name)
            self.answers(name)

    def answers(self, name):
        """Waits until a process takes connections."""
        ports = self.ports.values() if name == "plaza" else [int(name[4:]) if name.startswith("sso-") else self.ports[name]]
        patience = time.monotonic() + 60
        for port in ports:
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                if time.monotonic() > patience:
                    raise RuntimeError(f"{name} does not start: {(self.folder / f'log.{name}').read_text()[-2000:]}")
                time.sleep(0.02)

    def stream(self, count, rate, acknowledged):
        """People who sign up, change and are deleted; each call that is acknowledged gets a line in the file."""
        command = [self.bin / "plaza", "token", "--operator", "crash", "--ttl", "1h"]
        made = subprocess.run(command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=60)
        if made.returncode:
            raise RuntimeError(made.stderr)
        command = [self.bin / "bench", "stream", "--count", str(count), "--rate", str(rate), "--acknowledged", acknowledged]
        command += ["--operator", made.stdout.strip()]
        for port in self.sso:
            command += ["--sso", f"http://127.0.0.1:{port}"]
        return subprocess.Popen(command)

    def kill(self, name):
        """Takes a process away with no time to say anything, and starts it again at once."""
        self.processes[name].kill()
        self.processes[name].wait()
        self.start(name)

    def ended(self):
        """Processes that ended by themselves, which none may."""
        return [name for name, process in self.processes.items() if process.poll() is not None]

    def stop(self):
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()

    def drop(self):
        """Forgets the databases on PostgreSQL."""
        for name in SERVICES if self.postgres else []:
            self.psql(self.postgres, f'DROP DATABASE IF EXISTS "{self.run_id}_{name}" WITH (FORCE)')

    def terminate_backends(self):
        """Ends every session of this deployment, in the middle of whatever it does."""
        condition = f"datname LIKE '{self.run_id}%' AND pid <> pg_backend_pid()"
        self.psql(self.postgres, f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {condition}")

    def psql(self, url, sql):
        done = subprocess.run(["psql", "-XAt", "-F", "\t", url, "-c", sql], capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def rows(self, service, sql_sqlite, sql_postgres):
        """What a query gives in the database of a service."""
        if self.postgres:
            return self.psql(self.database(service), sql_postgres)
        connection = sqlite3.connect(f"file:{self.folder}/data/{service}.db?mode=ro", uri=True, timeout=30)
        try:
            return [[str(value) for value in row] for row in connection.execute(sql_sqlite)]
        finally:
            connection.close()

    def users(self, service):
        """Everybody a service knows, as (id, username, account type)."""
        where = "username, account_type FROM users" + ("" if service == "sso" else " WHERE deleted_at IS NULL")
        rows = self.rows(service, f"SELECT lower(hex(id)), {where}", f"SELECT replace(id::text, '-', ''), {where}")
        return [tuple(row) for row in rows]

    def left(self, table):
        """How many rows SSO has in a table of what is to be done."""
        return int(self.rows("sso", *[f"SELECT count(*) FROM {table}"] * 2)[0][0])
