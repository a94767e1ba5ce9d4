"""`python3 scripts/smoke FOLDER` with PLAZA_BIN and grpcurl: see smoke.sh."""

import os
import sys
from pathlib import Path

import apart
import edges
import flows
import ops
import web
from checks import Checks
from people import CUSTOMER, OFFICIAL
from plaza import Plaza


def main():
    checks, program, folder = Checks(), os.environ["PLAZA_BIN"], Path(sys.argv[1])
    plaza, mesh = Plaza(program, folder / "one"), apart.Apart(program, folder / "four")
    proven = apart.Proven(program, folder / "proven")
    try:
        in_one_process(checks, plaza)
        in_four_processes(checks, mesh)
        by_certificates(checks, proven)
    finally:
        for process in [plaza.process, *mesh.processes.values(), *proven.processes.values()]:
            if process and process.poll() is None:
                process.kill()
                process.wait()
    return checks.end()


def in_one_process(checks, plaza):
    took = []
    with checks.about("it starts"):
        took.append(plaza.start())
    if not took:
        return
    with checks.about("the lines of the welcome work as they stand"):
        edges.welcome_lines(checks, plaza)
    person = None
    for by in ["email", "phone"]:
        for kind in [CUSTOMER, OFFICIAL]:
            with checks.about(f"sign-up by {by}, {kind}"):
                person = flows.signs_up(checks, plaza, by, kind)
                flows.uses_the_token(checks, plaza, person)
                flows.signs_in_verified(checks, person)
            with checks.about(f"sign-in before the identifier is verified, by {by}, {kind}"):
                flows.signs_in_unverified(checks, plaza, by, kind)
    with checks.about("guesses run out"):
        flows.guesses_run_out(checks, plaza)
    with checks.about("operators"):
        edges.operators(checks, plaza, person)
    with checks.about("strangers"):
        edges.strangers(checks, plaza)
    with checks.about("bad input"):
        edges.bad_input(checks, plaza)
    with checks.about("health and reflection"):
        edges.discovery(checks, plaza)
    with checks.about("the admin port"):
        ops.admin(checks, plaza)
    with checks.about("more idle connections than files it began with"):
        ops.crowded(checks, plaza)
    with checks.about("a log that nobody reads"):
        ops.unread(checks, plaza)
    with checks.about("the port for browsers"):
        web.browsers(checks, plaza)
        web.page(checks, plaza)
    with checks.about("what does not start says why"):
        edges.does_not_start(checks, plaza)
    with checks.about("stopped and started again"):
        edges.ends(checks, plaza, person)
        edges.ends_at_once(checks, plaza)
    for by, kind in [("email", CUSTOMER), ("phone", OFFICIAL)]:
        with checks.about(f"killed after a sign-up by {by}, {kind}"):
            edges.killed(checks, plaza, by, kind)
    with checks.about("killed in the middle of a sign-up"):
        edges.killed_midway(checks, plaza)
    with checks.about("a collector that is not there"):
        plaza.stop()
        plaza.settings |= ops.collector_gone("ONEBOX")
        plaza.start()
        ops.tells_in_vain(checks, plaza)
    with checks.about("started within a second"):
        plaza.stop()
        took.append(plaza.start())
        checks.that(min(took) < 1, f"the welcome came after {min(took):.2f} s at best")
    with checks.about("nothing leaks"):
        edges.private(checks, plaza)


def in_four_processes(checks, mesh):
    with checks.about("the flows between four processes"):
        mesh.start()
        apart.together(checks, mesh)
    for gone in [apart.social_is_gone, apart.sms_is_gone, apart.sso_is_gone]:
        with checks.about(f"four processes: {gone.__name__.replace('_', ' ')}"):
            gone(checks, mesh)
    with checks.about("four processes: they stop, and nothing leaks"):
        apart.ends(checks, mesh)
        edges.private(checks, mesh)


def by_certificates(checks, mesh):
    with checks.about("the flows between four processes, over mutual TLS"):
        mesh.start()
        apart.together(checks, mesh)
    with checks.about("four processes over mutual TLS: who shows no certificate, or another's, is not let in"):
        apart.nobody_is_let_in(checks, mesh)
    with checks.about("four processes over mutual TLS: they stop, and nothing leaks"):
        apart.ends(checks, mesh)
        edges.private(checks, mesh)


sys.exit(main())
