"""A PostgreSQL, and a synchronous standby of it, out of Debian's package, speaking TLS alone."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

from deployment import free_port

USER = "postgres"


class Cluster:
    """Up to two servers in `folder`, which prove themselves by the certificate and key given."""

    def __init__(self, folder, certificate, key):
        self.folder = Path(folder)
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
        if not binaries:
            raise RuntimeError("there is no PostgreSQL: install Debian's package postgresql")
        self.bin = binaries[-1].parent
        self.ports = {"primary": free_port(), "standby": free_port()}
        self.folder.parent.chmod(0o711)  # Whom the servers run as has to get through it.
        self.own(self.folder, 0o700, directory=True)
        for name, source in {"server.pem": certificate, "server.key": key}.items():
            shutil.copy(source, self.folder / name)
            self.own(self.folder / name, 0o600)

    def own(self, path, mode, directory=False):
        """Gives a path to whom the servers run as."""
        if directory:
            path.mkdir()
        path.chmod(mode)
        if os.getuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(path, user.pw_uid, user.pw_gid)

    def run(self, program, *arguments):
        """Runs a program of PostgreSQL, which refuses to run as root."""
        command = ["runuser", "-u", USER, "--"] if os.getuid() == 0 else []
        command += [self.bin / program, *arguments]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")

    def url(self, database="postgres", settings="sslmode=require", hosts=("primary", "standby")):
        """All hosts of the cluster, of which the one that writes is meant."""
        named = ",".join(f"127.0.0.1:{self.ports[name]}" for name in hosts)
        return f"postgres://{USER}:secret@{named}/{database}?target_session_attrs=read-write&{settings}"

    def start_primary(self):
        (self.folder / "password").write_text("secret")
        self.own(self.folder / "password", 0o600)
        self.run(
            "initdb", "-D", self.folder / "primary", "-U", USER, "--auth=scram-sha-256", f"--pwfile={self.folder}/password",
            "-E", "UTF8", "--locale=C", "--no-sync",
        )
        rules = "".join(f"hostssl {database} all 127.0.0.1/32 scram-sha-256\n" for database in ["all", "replication"])
        (self.folder / "primary/pg_hba.conf").write_text(rules)
        self.start("primary")

    def start_standby(self):
        """Copies the primary; from then on nothing is acknowledged that the standby does not have on its disk."""
        source = f"{self.url(settings='sslmode=require', hosts=['primary'])}&application_name=standby"
        self.run("pg_basebackup", "-D", self.folder / "standby", "-R", "-X", "stream", "--checkpoint=fast", "-d", source)
        self.start("standby")
        self.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        self.sql("SELECT pg_reload_conf()")
        patience = time.monotonic() + 60
        while self.sql("SELECT sync_state FROM pg_stat_replication") != "sync":
            if time.monotonic() > patience:
                raise RuntimeError("the standby does not follow")
            time.sleep(0.1)

    def start(self, name):
        settings = {
            "listen_addresses": "127.0.0.1", "max_connections": 200, "ssl": "on", "ssl_cert_file": self.folder / "server.pem",
            "ssl_key_file": self.folder / "server.key", "unix_socket_directories": "''", "synchronous_commit": "on",
        }
        options = " ".join([f"-p {self.ports[name]}", *(f"-c {key}={value}" for key, value in settings.items())])
        self.run("pg_ctl", "-D", self.folder / name, "-l", self.folder / f"log.{name}", "-w", "-t", "60", "-o", options, "start")

    def stop(self, name):
        if (self.folder / name / "postmaster.pid").exists():
            self.run("pg_ctl", "-D", self.folder / name, "-m", "immediate", "-w", "stop")

    def kill_primary(self):
        """Ends every process of the primary with no time to say anything."""
        postmaster = int((self.folder / "primary/postmaster.pid").read_text().splitlines()[0])
        children = subprocess.run(["pgrep", "-P", str(postmaster)], capture_output=True, text=True, check=False).stdout.split()
        for process in [postmaster, *map(int, children)]:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass  # A backend whose postmaster is gone goes by itself.
        (self.folder / "primary/postmaster.pid").unlink()

    def crash_primary(self):
        """Kills the primary and starts it again on what its disk has."""
        self.kill_primary()
        patience = time.monotonic() + 20
        while True:
            try:
                return self.start("primary")
            except RuntimeError:
                # The last of its processes may still be on its way out, with the memory they shared.
                if time.monotonic() > patience:
                    raise
                time.sleep(0.2)

    def promote(self):
        self.run("pg_ctl", "-D", self.folder / "standby", "-w", "promote")

    def sql(self, statement):
        done = subprocess.run(["psql", "-XAt", self.url(), "-c", statement], capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()
