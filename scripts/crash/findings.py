"""What a run must not leave behind."""

import time

PATIENCE = 180


def catch_up(site):
    """Waits until nothing is owed; how much is left, and how long it took."""
    began = time.monotonic()
    while (left := site.left("provisioning")) and time.monotonic() - began < PATIENCE:
        time.sleep(0.2)
    print(f"  nothing was owed {time.monotonic() - began:.1f} s after the last kill" if not left else f"  {left} rows are still owed")
    return left


def look(site, acknowledged, what, left):
    """Compares what was acknowledged with what is there."""
    lines = [line.replace("-", "").split() for line in acknowledged.read_text().splitlines()]
    # What was acknowledged last of each person: an id, and, unless deleted, a name and a type.
    people = {number: tuple(user) for number, *user in lines}
    living = {user for user in people.values() if len(user) > 1}
    deleted = {user[0] for user in people.values()} - {user[0] for user in living}
    there = {name: site.users(name) for name in ["sso", "social", "blog"]}
    known = set(there["sso"])
    counts = ", ".join(f"{len(users)} in {name}" for name, users in there.items())
    print(f"  {what}; {len(people)} acknowledged, {len(lines) - len(people)} changes and deletions, {len(deleted)} deleted; {counts}")
    findings = {
        "owed": [left] if left else [],
        "acknowledged twice": twice([user[0] for user in people.values()]),
        "in sso, and not acknowledged": known - living,
    }
    if not left and (buried := site.left("tombstones")):
        findings["deletions that all know of, and sso still tells"] = [buried]
    for name, users in there.items():
        findings[f"acknowledged, and not in {name}"] = living - set(users)
        findings[f"deleted, and in {name}"] = deleted & {user[0] for user in users}
        findings[f"twice in {name}"] = twice([user[0] for user in users]) | twice([user[1] for user in users])
        findings[f"in sso, and not in {name}"] = known - set(users)
        findings[f"in {name}, and not in sso"] = set(users) - known
    for name, found in findings.items():
        if found:
            print(f"  {len(found)} {name}: {sorted(found, key=str)[:3]}")
    return not any(findings.values())


def twice(values):
    seen, again = set(), set()
    for value in values:
        (again if value in seen else seen).add(value)
    return again
