"""The three flows, as they were asked for."""

import time

from checks import ANY, Broken
from people import CUSTOMER, OFFICIAL, Someone, another, broken, footer, fresh, near
from plaza import COOL_DOWN

SERVICES_TOLD = {"TARGET_SOCIAL", "TARGET_BLOG"}
TIER = {CUSTOMER: "OFFICIAL_TIER_UNSPECIFIED", OFFICIAL: "OFFICIAL_TIER_UNVERIFIED"}


def user_is(checks, user, someone, verified, tier=None):
    """A user of SSO, field by field."""
    checks.fields(
        user,
        id=lambda text: bool(text) and len(text) == 36 and text[14] == "7" and text == text.lower(),
        username=someone.username,
        accountType=someone.kind,
        officialTier=tier or TIER[someone.kind],
        isVerified=verified,
        identifiers=someone.expected_identifier(verified),
        createTime=near(0, 120),
        updateTime=near(0, 120),
        version=ANY,
    )


def provisioned(checks, rows):
    """Both services know the user."""
    checks.equal({row["target"] for row in rows}, SERVICES_TOLD, "targets")
    for row in rows:
        checks.fields(row, state="PROVISIONING_STATE_DONE", attempts=0, lastError="", nextAttemptTime=None)


def signed_in(checks, tokens):
    """Tokens that may be shown; the access token."""
    checks.fields(tokens, accessToken=lambda text: bool(text) and text.startswith("v4.public."), accessExpireTime=near(900))
    foot = footer(tokens["accessToken"])
    checks.equal(list(foot), ["kid"], "claims of the footer")
    checks.that(foot["kid"].startswith("k4.pid."), f"key id {foot}")
    return tokens["accessToken"]


def no_tokens(checks, answer):
    checks.that("v4.public." not in str(answer.body), f"a token in {answer.body}")


def signs_up(checks, plaza, by, kind):
    """Flows 1 and 2: create everywhere, prove the identifier, be signed in. Returns who did."""
    someone = Someone(plaza, by, kind)
    request_id = fresh()
    answer = someone.sign_up(request_id)
    body = checks.ok(answer)
    no_tokens(checks, answer)
    user_is(checks, body["user"], someone, verified=False)
    provisioned(checks, body["provisioning"])
    verification = body["verification"]
    checks.fields(
        verification,
        verificationId=ANY,
        maskedDestination=someone.masked(),
        delivery="CODE_DELIVERY_SENT",
        reference=lambda text: len(text) == 2,
        codeExpireTime=near(300),
        resendAfter=near(COOL_DOWN),
        guessesLeft=5,
    )
    repeated = checks.ok(someone.sign_up(request_id))
    checks.equal(repeated["user"]["id"], body["user"]["id"], "user of the repeated sign-up")
    checks.refused(someone.sign_up(request_id, username="somebody.else"), "ABORTED", "REQUEST_ID_REUSED")

    messages = someone.messages()
    checks.equal(len(messages), 1, "messages after one sign-up and its repeat")
    checks.fields(
        messages[0],
        destination=someone.destination,
        reference=verification["reference"],
        code=lambda code: len(code) == 6 and code.isdigit() and code in messages[0]["text"],
        sendTime=near(0, 30),
    )
    code = messages[0]["code"]
    checks.that(messages[0]["text"] in plaza.welcome(), "the message is not on the console")
    someone.user_id = body["user"]["id"]
    proves(checks, someone, verification["verificationId"], code)
    return someone


def proves(checks, someone, verification_id, code):
    """A wrong code, the right one, and the right one once more."""
    wrong = someone.verify_otp(verification_id, another(code))
    failure = checks.ok(wrong).get("failure")
    no_tokens(checks, wrong)
    checks.fields(failure, reason="VERIFY_OTP_FAILURE_REASON_WRONG_CODE", guessesLeft=4)

    request_id = fresh()
    success = checks.ok(someone.verify_otp(verification_id, code, request_id)).get("success")
    if not checks.that(success, "the right code was refused"):
        raise Broken("no tokens to go on with")
    user_is(checks, success["user"], someone, verified=True)
    someone.token = signed_in(checks, success["tokens"])
    someone.user = success["user"]

    again = checks.ok(someone.verify_otp(verification_id, code, request_id))
    checks.that(again.get("success"), f"the repeat of the right guess: {again}")
    used = someone.verify_otp(verification_id, code)
    no_tokens(checks, used)
    if used.code == "OK":
        checks.fields(used.body.get("failure"), reason="VERIFY_OTP_FAILURE_REASON_CODE_USED")
    else:
        checks.refused(used, "NOT_FOUND", "VERIFICATION_NOT_FOUND")


def uses_the_token(checks, plaza, someone):
    """Every service honours the token, and none honours it broken; strangers see what was changed."""
    account = plaza.call("sso", "sso.v1.AccountService/GetAccount", {}, someone.token)
    checks.equal(checks.ok(account)["user"], someone.user, "own account")
    for service, method, shown, field in [
        ("social", "social.v1.ProfileService/{}Profile", "profile", "Social"),
        ("blog", "blog.v1.AuthorService/{}Author", "author", "Blog"),
    ]:
        text = {"display_name": f"Ánh of {field}", "about": "Line one\nline two"}
        update = method.format("Update")
        for token in [None, broken(someone.token), plaza.operator()]:
            checks.refused(plaza.call(service, update, text, token), "UNAUTHENTICATED", "TOKEN_INVALID")
        changed = checks.ok(plaza.call(service, update, text, someone.token))[shown]
        checks.fields(
            changed,
            userId=someone.user_id,
            username=someone.username,
            accountType=someone.kind,
            officialTier=TIER[someone.kind],
            displayName=text["display_name"],
            about=text["about"],
            createTime=near(0, 120),
        )
        for key in [{"user_id": someone.user_id}, {"username": someone.username.upper()}]:
            seen = checks.ok(plaza.call(service, method.format("Get"), key))[shown]
            checks.equal(seen, changed, f"what a stranger sees by {key}")
        unknown = plaza.call(service, method.format("Get"), {"username": "nobody.at.all"})
        checks.refused(unknown, "NOT_FOUND", "USER_NOT_FOUND")
        bad = plaza.call(service, update, {"display_name": "", "about": "x" * 1001}, someone.token)
        checks.refused(bad, "INVALID_ARGUMENT", "INVALID_FIELDS")
        named = {violation["field"] for violation in bad.detail("BadRequest").get("fieldViolations", [])}
        checks.equal(named, {"display_name", "about"}, "bad fields")


def signs_in_verified(checks, someone):
    """Flow 3, verified: tokens at once. A wrong password and an unknown identifier look alike."""
    signed_in(checks, checks.ok(someone.sign_in()).get("tokens") or {})
    before = len(someone.messages())
    wrong = someone.sign_in(password="another quiet morning")
    nobody = Someone(someone.plaza, someone.by, someone.kind).sign_in()
    for answer in (wrong, nobody):
        checks.refused(answer, "UNAUTHENTICATED", "CREDENTIALS_INVALID")
    checks.equal((wrong.message, wrong.details), (nobody.message, nobody.details), "unknown and wrong")
    checks.equal(len(someone.messages()), before, "messages of a sign-in")


def signs_in_unverified(checks, plaza, by, kind):
    """Flow 3, not verified: a verification and no message; then a code on request, and tokens for it."""
    someone = Someone(plaza, by, kind)
    someone.user_id = checks.ok(someone.created(plaza.operator()))["user"]["id"]
    checks.equal(someone.messages(), [], "messages of an operator's create")
    answer = someone.sign_in()
    verification = checks.ok(answer).get("verification")
    no_tokens(checks, answer)
    checks.fields(verification, verificationId=ANY, delivery="CODE_DELIVERY_NOT_SENT", maskedDestination=someone.masked())
    checks.fields(verification, reference="", codeExpireTime=None, guessesLeft=5)
    checks.equal(someone.messages(), [], "messages of an unverified sign-in")

    verification_id, request_id = verification["verificationId"], fresh()
    sent = checks.ok(someone.send_otp(verification_id, request_id))["verification"]
    soon = someone.send_otp(verification_id)
    checks.fields(sent, verificationId=verification_id, delivery="CODE_DELIVERY_SENT", codeExpireTime=near(300), guessesLeft=5)
    checks.refused(soon, "RESOURCE_EXHAUSTED", "OTP_RESEND_TOO_SOON")
    wait = soon.retry_seconds()
    if not checks.that(0 < wait <= COOL_DOWN, f"RetryInfo says {wait} s"):
        raise Broken("nobody knows how long to wait")
    checks.ok(someone.send_otp(verification_id, request_id))
    checks.equal(len(someone.messages()), 1, "messages of a send and its repeat")
    first = someone.messages()[0]["code"]
    time.sleep(wait)
    checks.ok(someone.send_otp(verification_id))
    messages = someone.messages()
    checks.equal(len(messages), 2, "messages after a resend")
    if messages[0]["code"] != first:
        stale = checks.ok(someone.verify_otp(verification_id, first)).get("failure")
        checks.fields(stale, reason="VERIFY_OTP_FAILURE_REASON_WRONG_CODE", guessesLeft=4)
    success = checks.ok(someone.verify_otp(verification_id, messages[0]["code"])).get("success")
    user_is(checks, success["user"], someone, verified=True)
    signed_in(checks, success["tokens"])
    signed_in(checks, checks.ok(someone.sign_in()).get("tokens") or {})


def guesses_run_out(checks, plaza):
    """Five guesses, and then not even the right code."""
    someone = Someone(plaza, "email", CUSTOMER)
    verification_id = checks.ok(someone.sign_up())["verification"]["verificationId"]
    code = someone.messages()[0]["code"]
    for left in [4, 3, 2, 1, 0]:
        failure = checks.ok(someone.verify_otp(verification_id, another(code))).get("failure")
        checks.fields(failure, guessesLeft=left)
    last = someone.verify_otp(verification_id, code)
    no_tokens(checks, last)
    checks.fields(checks.ok(last).get("failure"), reason="VERIFY_OTP_FAILURE_REASON_GUESSES_EXHAUSTED", guessesLeft=0)
