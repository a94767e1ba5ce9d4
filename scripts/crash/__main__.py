"""Kills processes under a stream of people who sign up, change and are deleted, and counts who is missing where, and who is still there."""

import argparse
import random
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path

from cluster import Cluster
from deployment import Site
from findings import catch_up, look

ENGINES, SHAPES = ["sqlite", "postgres"], ["onebox", "separate"]


def crash(arguments, folder, shape, cluster):
    """One run. What was found is printed; whether it is what has to be is answered."""
    site = Site(arguments.bin, folder, shape, cluster and cluster.url(hosts=["primary"]))
    chance = random.Random(arguments.seed)
    rate = max(1, int(arguments.sign_ups / (arguments.kills * arguments.interval)))
    acknowledged = Path(folder) / "acknowledged"
    try:
        site.start_all()
        stream = site.stream(arguments.sign_ups, rate, acknowledged)
        kills, terminated, crashed = disturb(arguments, site, cluster, stream, chance)
        if stream.wait() != 0:
            print("the stream of people came to no end")
            return False
        left = catch_up(site)
    finally:
        site.stop()
    try:
        what = f"{kills} kills" + (f", backends ended {terminated} times, server crashed {crashed} times" if cluster else "")
        return look(site, acknowledged, what, left)
    finally:
        site.drop()


def disturb(arguments, site, cluster, stream, chance):
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
        if cluster and kills % 10 == 5:
            site.terminate_backends()
            terminated += 1
        if cluster and kills % 50 == 10:
            cluster.crash_primary()
            crashed += 1
        if time.monotonic() - began > 3600:
            raise RuntimeError("the stream does not end")
    return kills, terminated, crashed


def start_cluster(arguments):
    """A PostgreSQL of its own, for it is to crash."""
    certs = arguments.work / "certs"
    subprocess.run([arguments.bin / "plaza", "certs", "--out", certs], check=True, stdout=subprocess.DEVNULL)
    cluster = Cluster(arguments.work / "cluster", certs / "sso.pem", certs / "sso.key")
    cluster.start_primary()
    return cluster


def main():
    parser = argparse.ArgumentParser(prog="scripts/crash.sh")
    parser.add_argument("bin", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--shape", choices=SHAPES, action="append", help="both, if none is named")
    parser.add_argument("--sign-ups", type=int, default=300)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--interval", type=float, default=0.4, help="seconds between two kills, on average")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="both, if none is named")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    arguments = parser.parse_args()
    runs = [(engine, shape) for engine in arguments.engine or ENGINES for shape in arguments.shape or SHAPES]
    passed = 0
    for number, (engine, shape) in enumerate(runs):
        print(f"{shape} on {engine}, seed {arguments.seed}", flush=True)
        cluster = None
        try:
            cluster = start_cluster(arguments) if engine == "postgres" else None
            good = crash(arguments, arguments.work / str(number), shape, cluster)
        except Exception:  # noqa: BLE001: the next run is to run
            traceback.print_exc()
            good = False
        if cluster:
            cluster.stop("primary")
            shutil.rmtree(cluster.folder)
        print("  passed" if good else "  FAILED", flush=True)
        passed += good
    print(f"{passed} passed, {len(runs) - passed} failed")
    sys.exit(passed != len(runs) or not runs)


main()
