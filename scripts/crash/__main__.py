"""Kills processes under a stream of sign-ups, and counts who is missing where."""

import argparse
import os
import random
import subprocess
import sys
import time
import traceback
from pathlib import Path

from deployment import Site
from findings import catch_up, look


def crash(arguments, folder, shape, postgres):
    """One run. What was found is printed; whether it is what has to be is answered."""
    site = Site(arguments.bin, folder, shape, postgres)
    chance = random.Random(arguments.seed)
    rate = max(1, int(arguments.sign_ups / (arguments.kills * arguments.interval)))
    acknowledged = Path(folder) / "acknowledged"
    try:
        site.start_all()
        command = [arguments.bin / "bench", "stream", "--count", str(arguments.sign_ups), "--rate", str(rate)]
        command += ["--acknowledged", acknowledged]
        for port in site.sso:
            command += ["--sso", f"http://127.0.0.1:{port}"]
        stream = subprocess.Popen(command)
        kills, terminated, crashed = disturb(arguments, site, stream, chance)
        if stream.wait() != 0:
            print("the stream of sign-ups came to no end")
            return False
        left = catch_up(site)
    finally:
        site.stop()
    try:
        what = f"{kills} kills" + (f", backends ended {terminated} times, server crashed {crashed} times" if postgres else "")
        return look(site, acknowledged, what, left)
    finally:
        site.drop()


def disturb(arguments, site, stream, chance):
    """Kills a random process every now and then, until the stream has ended and there were enough kills."""
    kills = terminated = crashed = 0
    began = time.monotonic()
    while stream.poll() is None or kills < arguments.kills:
        time.sleep(arguments.interval * chance.uniform(0.5, 1.5))
        died = site.ended()
        if died:
            raise RuntimeError(f"{died} ended by themselves: {(site.folder / f'log.{died[0]}').read_text()[-3000:]}")
        site.kill(chance.choice(list(site.programs)))
        kills += 1
        if site.postgres and kills % 10 == 5:
            site.terminate_backends()
            terminated += 1
        if site.postgres and arguments.crash_server and kills % 80 == 40:
            subprocess.run(arguments.crash_server, shell=True, check=True, stdout=subprocess.DEVNULL)
            crashed += 1
        if time.monotonic() - began > 3600:
            raise RuntimeError("the stream does not end")
    return kills, terminated, crashed


def main():
    parser = argparse.ArgumentParser(prog="scripts/crash.sh")
    parser.add_argument("bin", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--shape", choices=["onebox", "separate"], action="append", help="both, if none is named")
    parser.add_argument("--sign-ups", type=int, default=300)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--interval", type=float, default=0.4, help="seconds between two kills, on average")
    parser.add_argument("--postgres", help="a database of a PostgreSQL where others may be made; PLAZA_TEST_POSTGRES if not named")
    parser.add_argument("--sqlite-only", action="store_true")
    parser.add_argument("--crash-server", help="a command that crashes the PostgreSQL and starts it again")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    arguments = parser.parse_args()
    postgres = None if arguments.sqlite_only else arguments.postgres or os.environ.get("PLAZA_TEST_POSTGRES")
    shapes = arguments.shape or ["onebox", "separate"]
    runs = [(shape, None) for shape in shapes] if not arguments.postgres else []
    runs += [("separate", postgres)] if postgres and "separate" in shapes else []
    passed = 0
    for number, (shape, url) in enumerate(runs):
        print(f"{shape} on {'PostgreSQL' if url else 'SQLite'}, seed {arguments.seed}", flush=True)
        try:
            good = crash(arguments, arguments.work / str(number), shape, url)
        except Exception:  # noqa: BLE001: the next run is to run
            traceback.print_exc()
            good = False
        print("  passed" if good else "  FAILED", flush=True)
        passed += good
    print(f"{passed} passed, {len(runs) - passed} failed")
    sys.exit(passed != len(runs) or not runs)


main()
