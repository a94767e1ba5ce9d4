"""The four services as four processes, which find one another by address; and what happens while one of them is gone."""

import signal
import subprocess
import time
from pathlib import Path

import flows
import ops
from checks import ANY, Broken
from edges import eventually_told
from people import CUSTOMER, OFFICIAL, Someone
from plaza import SERVICES, Plaza


class Apart(Plaza):
    """One deployment of four processes."""

    scheme = "http"

    def __init__(self, program, folder):
        super().__init__(program, folder)
        self.processes = {}
        peers = {"SSO": ["sms", "social", "blog"], "SOCIAL": ["sso"], "BLOG": ["sso"]}
        for caller, callees in peers.items():
            for callee in callees:
                self.settings[f"PLAZA_{caller}__PEERS__{callee.upper()}"] = f"{self.scheme}://127.0.0.1:{self.ports[callee]}"

        self.settings |= {"PLAZA_SSO__ADMIN__LISTEN": f"127.0.0.1:{self.admin}", **ops.collector_gone("SSO")}

    def arguments(self, _service):
        """What a service is started with, beside its environment."""
        return []

    def start(self, names=SERVICES):
        """Starts services, and waits until each answers."""
        for name in names:
            program = Path(self.program).with_name(name)
            if not program.exists():
                raise Broken(f"{program} is not built")
            out, log = (self.folder / f"{kind}.{name}" for kind in ("out", "log"))
            with out.open("a") as stdout, log.open("a") as stderr:
                self.processes[name] = subprocess.Popen(
                    [program, *self.arguments(name)], cwd=self.folder, env=self.environment(), stdout=stdout, stderr=stderr
                )
        for name in names:
            patience = time.monotonic() + 30
            while self.call(name, "grpc.health.v1.Health/Check").code != "OK":
                if time.monotonic() > patience:
                    raise Broken(f"{name} does not answer: {(self.folder / f'log.{name}').read_text()}")
                time.sleep(0.05)

    def stop(self, how=signal.SIGTERM, names=SERVICES):
        """Sends services a signal; their exit codes."""
        running = [self.processes.pop(name) for name in names if name in self.processes]
        for process in running:
            process.send_signal(how)
        return [process.wait(timeout=30) for process in running]

    def welcome(self):
        """What appeared on the console of SMS."""
        return (self.folder / "out.sms").read_text()


class Proven(Apart):
    """Four processes that prove themselves by certificates of `plaza certs`, share no key, and know operators by a public one."""

    scheme = "https"

    def start(self, names=SERVICES):
        certs, key = self.folder / "certs", self.folder / "operator.key"
        if not certs.exists():
            self.made("certs", "--out", str(certs))
            self.settings["PLAZA_SSO__KEYS__OPERATORS"] = f'["{self.made("key", str(key))}"]'
            self.settings |= {f"PLAZA_{name.upper()}__KEYS__MESH_FILE": "" for name in SERVICES}
        self.transport = ["-cacert", str(certs / "roots.pem")]
        super().start(names)

    def made(self, *arguments):
        """What the program prints once it has made something."""
        made = self.run(*arguments)
        if made.returncode:
            raise Broken(f"{arguments}: {made.stderr}")
        return made.stdout.strip()

    def operator(self, *arguments):
        return super().operator(*arguments, "--key", str(self.folder / "operator.key"))

    def arguments(self, service):
        return ["--config", str(self.folder / "certs" / f"{service}.toml")]


def together(checks, mesh):
    """The flows, over sockets."""
    for by, kind in [("email", OFFICIAL), ("phone", CUSTOMER)]:
        person = flows.signs_up(checks, mesh, by, kind)
        flows.uses_the_token(checks, mesh, person)
        flows.signs_in_verified(checks, person)
        flows.signs_in_unverified(checks, mesh, by, kind)
    ops.tells_in_vain(checks, mesh)


def social_is_gone(checks, mesh):
    """A sign-up while Social is down is answered all the same, and Social is told when it is back."""
    mesh.stop(signal.SIGKILL, ["social"])
    someone = Someone(mesh, "email", CUSTOMER)
    body = checks.ok(someone.sign_up())
    states = {row["target"]: row["state"] for row in body["provisioning"]}
    wanted = {"TARGET_SOCIAL": "PROVISIONING_STATE_PENDING", "TARGET_BLOG": "PROVISIONING_STATE_DONE"}
    checks.equal(states, wanted, "who knows the user while Social is down")
    owed = next(row for row in body["provisioning"] if row["target"] == "TARGET_SOCIAL")
    checks.fields(owed, attempts=lambda count: count >= 1, lastError="UNAVAILABLE", nextAttemptTime=ANY)

    mesh.start(["social"])
    user_id = {"user_id": body["user"]["id"]}
    flows.provisioned(checks, eventually_told(checks, mesh, user_id))
    profile = checks.ok(mesh.call("social", "social.v1.ProfileService/GetProfile", user_id))["profile"]
    checks.fields(profile, username=someone.username)


def sms_is_gone(checks, mesh):
    """A sign-up while SMS is down creates the user and says that no code went out; SendOtp works later."""
    mesh.stop(signal.SIGKILL, ["sms"])
    someone = Someone(mesh, "phone", CUSTOMER)
    body = checks.ok(someone.sign_up())
    flows.user_is(checks, body["user"], someone, verified=False)
    flows.provisioned(checks, body["provisioning"])
    checks.fields(body["verification"], delivery="CODE_DELIVERY_NOT_SENT", verificationId=ANY)
    verification_id = body["verification"]["verificationId"]
    checks.refused(someone.send_otp(verification_id), "UNAVAILABLE")

    mesh.start(["sms"])
    checks.fields(checks.ok(back(lambda: someone.send_otp(verification_id)))["verification"], delivery="CODE_DELIVERY_SENT")
    success = checks.ok(someone.verify_otp(verification_id, someone.messages()[0]["code"])).get("success")
    flows.user_is(checks, (success or {}).get("user"), someone, verified=True)


def nobody_is_let_in(checks, mesh):
    """Over TLS, a service is called by who has its caller's certificate alone, and by nobody in plain text."""
    ops.certificate(checks, mesh)
    body = {"user_id": "0195f2c4-0b6e-7d43-9a55-3f2f4d1c8a10"}
    checks.refused(mesh.call("social", "social.v1.UserService/GetUser", body), "PERMISSION_DENIED")
    plain, mesh.transport = mesh.transport, ["-plaintext"]
    checks.that(mesh.call("sso", "grpc.health.v1.Health/Check").code != "OK", "SSO answers in plain text")
    mesh.transport = plain
    for name, expected in [("social", "PERMISSION_DENIED"), ("sso", "NOT_FOUND")]:
        pair = ["-cert", str(mesh.folder / f"certs/{name}.pem"), "-key", str(mesh.folder / f"certs/{name}.key")]
        checks.refused(mesh.call("blog", "blog.v1.UserService/GetUser", body, contract=pair), expected)


def back(call):
    """The answer once the callee is reached again: a connection that failed is tried again after 3.6 s at the most."""
    patience = time.monotonic() + 10
    while (answer := call()).code == "UNAVAILABLE" and time.monotonic() < patience:
        time.sleep(0.2)
    return answer


def sso_is_gone(checks, mesh):
    """Tokens are honoured while SSO is down: nobody asks it for each."""
    person = flows.signs_up(checks, mesh, "email", CUSTOMER)
    update = ("social", "social.v1.ProfileService/UpdateProfile", {"about": "before"}, person.token)
    checks.ok(mesh.call(*update))
    mesh.stop(signal.SIGKILL, ["sso"])
    checks.ok(mesh.call(*update))
    mesh.start(["sso"])
    checks.ok(mesh.call("sso", "sso.v1.AccountService/GetAccount", {}, person.token))


def ends(checks, mesh):
    """Each stops when told to."""
    checks.equal(mesh.stop(), [0, 0, 0, 0], "exit codes")
