"""Who is let in, what is refused, and how the program starts and ends."""

import re
import signal
import socket
import threading
import time
from pathlib import Path

from checks import ANY
from flows import provisioned, signed_in, user_is
from people import CUSTOMER, OFFICIAL, Someone, fresh
from plaza import SERVICES, Plaza


def operators(checks, plaza, person):
    """What operators may do, and nobody else."""
    someone = Someone(plaza, "phone", OFFICIAL)
    changes = {"vouch_identifier": True, "official_tier": "OFFICIAL_TIER_PREMIUM"}
    checks.refused(someone.created(None, **changes), "PERMISSION_DENIED", "ACCESS_DENIED")
    checks.refused(someone.created(person.token, **changes), "PERMISSION_DENIED", "ACCESS_DENIED")
    operator = plaza.operator("smoke", "--ttl", "60s")
    body = checks.ok(someone.created(operator, **changes))
    user_is(checks, body["user"], someone, verified=True, tier="OFFICIAL_TIER_PREMIUM")
    provisioned(checks, body["provisioning"])
    checks.equal(body["verification"], None, "verification of a vouched user")
    checks.equal(someone.messages(), [], "messages to a vouched user")
    signed_in(checks, checks.ok(someone.sign_in()).get("tokens") or {})
    user_id = {"user_id": body["user"]["id"]}
    checks.equal(checks.ok(plaza.call("sso", "sso.v1.UserService/GetUser", user_id, operator))["user"], body["user"], "GetUser")
    for service, method, shown in [
        ("social", "social.v1.ProfileService/GetProfile", "profile"),
        ("blog", "blog.v1.AuthorService/GetAuthor", "author"),
    ]:
        known = checks.ok(plaza.call(service, method, user_id))[shown]
        checks.fields(known, officialTier="OFFICIAL_TIER_PREMIUM", displayName=someone.username, about="")
    taken = Someone(plaza, "phone", CUSTOMER)
    taken.phone = someone.phone
    for vouched in [True, False]:
        checks.refused(taken.created(operator, vouch_identifier=vouched), "ALREADY_EXISTS", "IDENTIFIER_TAKEN")
    checks.refused(plaza.call("sso", "sso.v1.UserService/GetUser", {"user_id": fresh()}, operator), "NOT_FOUND", "USER_NOT_FOUND")
    for arguments in (["--ttl", "2h"], ["two words"]):
        refused = plaza.run("token", "--operator", *arguments)
        checks.that(refused.returncode != 0 and not refused.stdout, f"token {arguments}: {refused}")


def strangers(checks, plaza):
    """Peers' calls are for peers, and what nobody wrote is not there."""
    for service, method in [
        ("sms", "sms.v1.OtpService/SendOtp"),
        ("sms", "sms.v1.OtpService/VerifyOtp"),
        ("social", "social.v1.UserService/CreateUser"),
        ("blog", "blog.v1.UserService/DeleteUser"),
        ("sso", "sso.v1.TokenService/ListPublicKeys"),
    ]:
        for token in [None, plaza.operator()]:
            checks.refused(plaza.call(service, method, {}, token), "PERMISSION_DENIED", "ACCESS_DENIED")
    contract = plaza.folder / "nothing.proto"
    contract.write_text(
        'syntax = "proto3"; package sso.v1; message M {} service AuthService { rpc Nothing(M) returns (M); } '
        "service NoService { rpc Nothing(M) returns (M); }"
    )
    there = ["-import-path", str(plaza.folder), "-proto", contract.name]
    for method in ["sso.v1.AuthService/Nothing", "sso.v1.NoService/Nothing"]:
        checks.refused(plaza.call("sso", method, contract=there), "UNIMPLEMENTED")


def bad_input(checks, plaza):
    """All bad fields are named at once, and a username belongs to one."""
    body = {"request_id": "1", "phone_number": "0912345678", "password": "short", "username": "a b"}
    bad = plaza.call("sso", "sso.v1.AuthService/SignUp", body)
    checks.refused(bad, "INVALID_ARGUMENT", "INVALID_FIELDS")
    violations = bad.detail("BadRequest").get("fieldViolations", [])
    wanted = {"request_id", "phone_number", "password", "username", "account_type"}
    checks.equal({violation["field"] for violation in violations}, wanted, "bad fields")
    for violation in violations:
        checks.fields(violation, description=ANY)
    first, second = (Someone(plaza, "email", CUSTOMER) for _ in range(2))
    checks.ok(first.sign_up())
    checks.refused(second.sign_up(username=first.username.lower()), "ALREADY_EXISTS", "USERNAME_TAKEN")
    checks.refused(first.verify_otp(fresh(), "123456"), "NOT_FOUND", "VERIFICATION_NOT_FOUND")
    huge = second.sign_up(password="x" * 70_000)
    checks.refused(huge, "RESOURCE_EXHAUSTED")


def discovery(checks, plaza):
    """Health and reflection, on every port."""
    for service in SERVICES:
        health = checks.ok(plaza.call(service, "grpc.health.v1.Health/Check"))
        checks.fields(health, status="SERVING")
        listed = plaza.pasted(f"grpcurl -plaintext 127.0.0.1:{plaza.ports[service]} list").stdout
        checks.that(f"{service}.v1." in listed and "grpc.health.v1.Health" in listed, f"{service} lists {listed!r}")


def welcome_lines(checks, plaza):
    """The lines of the welcome, pasted one after the other, with nothing put in but what an answer said."""
    text = plaza.welcome()
    checks.equal(oct(plaza.data.stat().st_mode & 0o777), "0o700", "mode of the data folder")
    for said in [str(plaza.data), *(f"127.0.0.1:{port}" for port in plaza.ports.values()), "sms.v1.InboxService"]:
        checks.that(said in text, f"{said} is not in the welcome")
    line = {name: next((row for row in text.splitlines() if row.startswith("grpcurl") and f"/{name}" in row), "false")
            for name in ["SignUp", "ListMessages", "VerifyOtp", "UpdateProfile", "SignIn", "GetProvisioning"]}

    def paste(name, **put):
        command = line[name]
        for placeholder, value in put.items():
            checks.that(placeholder in command, f"{placeholder} is not in the line of {name}")
            command = command.replace(placeholder, value)
        done = plaza.pasted(command)
        checks.that(done.returncode == 0, f"{command}: {done.stderr}")
        return done.stdout

    def find(name, output):
        found = re.search(rf'"{name}": "([^"]+)"', output)
        checks.that(found, f"{name} is not in {output}")
        return found.group(1) if found else ""

    signed_up = paste("SignUp")
    code = find("code", paste("ListMessages"))
    verified = paste("VerifyOtp", VERIFICATION_ID=find("verificationId", signed_up), CODE=code)
    checks.that('"displayName": "Anna"' in paste("UpdateProfile", ACCESS_TOKEN=find("accessToken", verified)), "the profile")
    find("accessToken", paste("SignIn"))
    told = paste("GetProvisioning", USER_ID=find("id", signed_up))
    checks.equal(told.count("PROVISIONING_STATE_DONE"), 2, "services that know who pasted")


def killed(checks, plaza, by, kind):
    """SIGKILL as soon as the sign-up is answered. Whoever was told yes is there, everywhere, and can go on."""
    someone = Someone(plaza, by, kind)
    body = checks.ok(someone.sign_up())
    plaza.stop(signal.SIGKILL)
    console = plaza.welcome()
    plaza.start()
    operator, user_id = plaza.operator(), {"user_id": body["user"]["id"]}
    checks.equal(checks.ok(plaza.call("sso", "sso.v1.UserService/GetUser", user_id, operator))["user"], body["user"], "the user")
    provisioned(checks, eventually_told(checks, plaza, user_id))
    checks.equal(checks.ok(plaza.call("social", "social.v1.ProfileService/GetProfile", user_id))["profile"]["username"],
                 someone.username, "username in Social")
    checks.equal(checks.ok(plaza.call("blog", "blog.v1.AuthorService/GetAuthor", user_id))["author"]["username"],
                 someone.username, "username in Blog")
    # The inbox was in memory; the person has the message all the same.
    sent = next(row for row in console.splitlines() if row.startswith("[message") and someone.destination in row)
    code = re.search(r"\b\d{6}\b", sent.split("]", 1)[1]).group()
    verified = checks.ok(someone.verify_otp(body["verification"]["verificationId"], code)).get("success")
    user_is(checks, (verified or {}).get("user"), someone, verified=True)
    signed_in(checks, checks.ok(someone.sign_in()).get("tokens") or {})


def killed_midway(checks, plaza):
    """SIGKILL at any moment of a sign-up. The same request, repeated, comes to one user whom every service knows."""
    for delay in [0.1, 0.2, 0.3, 0.35, 0.4, 0.5]:
        someone, request_id = Someone(plaza, "email", CUSTOMER), fresh()
        asking = threading.Thread(target=someone.sign_up, args=[request_id])
        asking.start()
        time.sleep(delay)
        plaza.stop(signal.SIGKILL)
        asking.join()
        plaza.start()
        body = checks.ok(someone.sign_up(request_id))
        user_is(checks, body["user"], someone, verified=False)
        user_id = {"user_id": body["user"]["id"]}
        provisioned(checks, eventually_told(checks, plaza, user_id))
        known = checks.ok(plaza.call("blog", "blog.v1.AuthorService/GetAuthor", user_id))["author"]
        checks.fields(known, username=someone.username)


def eventually_told(checks, plaza, user_id):
    """The provisioning of a user, once nothing is owed any more, or after a minute."""
    operator, patience = plaza.operator(), time.monotonic() + 60
    while True:
        answer = plaza.call("sso", "sso.v1.UserService/GetProvisioning", user_id, operator)
        rows = checks.ok(answer)["provisioning"]
        if all(row["state"] == "PROVISIONING_STATE_DONE" for row in rows) or time.monotonic() > patience:
            return rows
        time.sleep(0.2)


def ends(checks, plaza, person):
    """It stops when told to, within its bound, and goes on with the same data."""
    for how in (signal.SIGTERM, signal.SIGINT):
        began = time.monotonic()
        checks.equal(plaza.stop(how), 0, f"exit code after {how.name}")
        checks.that(time.monotonic() - began < 12, f"it took {time.monotonic() - began:.1f} s to stop")
        offline = plaza.operator()
        plaza.start()
        checks.ok(plaza.call("sso", "sso.v1.UserService/GetUser", {"user_id": person.user_id}, offline))
        # The signing key has stayed too: nobody is signed out by a restart.
        checks.ok(plaza.call("social", "social.v1.ProfileService/UpdateProfile", {"about": how.name}, person.token))


def ends_at_once(checks, plaza):
    """A second signal ends it, whoever it waits for."""
    # A peer that speaks HTTP/2 and does not answer the goodbye.
    with socket.create_connection(("127.0.0.1", plaza.ports["sso"]), timeout=10) as silent:
        silent.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        silent.recv(1)
        plaza.process.send_signal(signal.SIGTERM)
        plaza.logged("a second signal stops at once")
        began = time.monotonic()
        checks.equal(plaza.stop(), 130, "exit code after a second signal")
        # The drain would take ten.
        checks.that(time.monotonic() - began < 5, f"a second signal took {time.monotonic() - began:.1f} s")
    plaza.start()


def does_not_start(checks, plaza):
    """Errors that say what is wrong."""
    other = Plaza(plaza.program, plaza.folder / "other")
    port = other.ports["social"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        refused = other.run("serve")
        checks.that(refused.returncode == 1 and f"port {port} is taken" in refused.stderr, f"a taken port: {refused}")
    refused = other.run("serve", "--data", str(plaza.data))
    checks.that(refused.returncode == 1 and "in use" in refused.stderr, f"a folder in use: {refused}")
    for name in ["PLAZA_ONEBOX__COLOUR", "PLAZA_SSO__TOKENS__COLOUR"]:
        refused = other.run("serve", **{name: "red"})
        checks.that(refused.returncode == 1 and "colour" in refused.stderr, f"{name}: {refused}")
    refused = other.run("token", "--operator", "--data", str(other.folder / "nowhere"))
    checks.that(refused.returncode == 1 and "nowhere" in refused.stderr, f"no data folder: {refused}")
    refused = other.run("dance")
    checks.equal(refused.returncode, 2, "exit code of an unknown command")
    checks.that(re.fullmatch(r"plaza \d+\.\d+\.\d+\n", other.run("version").stdout), "version")


def private(checks, plaza):
    """What is stored is its owner's alone, and nothing secret is in the log."""
    for path in [plaza.data / "master.key", *plaza.data.glob("*.key"), *plaza.data.glob("*.db*")]:
        checks.equal(oct(path.stat().st_mode & 0o777), "0o600", f"mode of {path.name}")
    log = re.sub(r"\x1b\[\d*m", "", "".join(path.read_text() for path in Path(plaza.folder).glob("log.*")))
    for secret in ["v4.public.", "a quiet morning", "@example.com", "+8491"]:
        checks.that(secret not in log, f"{secret} is in the log")
    checks.that("panicked" not in log and " ERROR " not in log, f"errors in the log of {plaza.folder}:\n{errors(log)}")


def errors(log):
    return "\n".join(row for row in log.splitlines() if " ERROR " in row or "panicked" in row)
