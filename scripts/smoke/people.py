"""People who sign up, and the calls they make."""

import base64
import json
import random
import uuid
from datetime import datetime, timezone

PASSWORD = "a quiet morning on the square"
OFFICIAL = "ACCOUNT_TYPE_OFFICIAL"
CUSTOMER = "ACCOUNT_TYPE_CUSTOMER"


def fresh():
    """A request id."""
    return str(uuid.uuid4())


def seconds_until(text):
    """How far off a time of an answer is."""
    return (datetime.fromisoformat(text.replace("Z", "+00:00")) - datetime.now(timezone.utc)).total_seconds()


def near(seconds, within=10):
    """A test: a time that is about that far off."""
    return lambda text: bool(text) and abs(seconds_until(text) - seconds) < within


def footer(token):
    """The footer of a PASETO token, taken apart."""
    part = token.split(".")[3]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def broken(token):
    """The token with one letter changed, in the middle of what is signed."""
    place = len(token) // 3
    return token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]


class Someone:
    """A person or an organisation with one identifier and one username."""

    def __init__(self, plaza, by, kind):
        self.plaza, self.by, self.kind = plaza, by, kind
        tag = f"{random.randrange(16**8):08x}"
        self.username = f"Smoke.{tag}"
        self.email = f"smoke.{tag}@example.com"
        self.phone = f"+8491{random.randrange(10**7):07d}"

    @property
    def destination(self):
        """Where codes go, as it is stored."""
        return self.email if self.by == "email" else self.phone

    def identifier(self):
        """The identifier as a field of a request, spelt as people do."""
        if self.by == "email":
            return {"email": self.email.replace("smoke", "Smoke")}
        return {"phone_number": f"{self.phone[:3]} {self.phone[3:6]} {self.phone[6:9]} {self.phone[9:]}"}

    def masked(self):
        return "s•••@example.com" if self.by == "email" else f"{self.phone[:3]}•••••{self.phone[-3:]}"

    def expected_identifier(self, verified):
        name = "email" if self.by == "email" else "phoneNumber"
        return [{name: self.destination, "isVerified": verified}]

    def sign_up(self, request_id=None, **changes):
        body = {"request_id": request_id or fresh(), "password": PASSWORD, "username": self.username, "account_type": self.kind}
        return self.plaza.call("sso", "sso.v1.AuthService/SignUp", {**body, **self.identifier(), **changes})

    def created(self, token, **changes):
        body = {"request_id": fresh(), "password": PASSWORD, "username": self.username, "account_type": self.kind}
        return self.plaza.call("sso", "sso.v1.UserService/CreateUser", {**body, **self.identifier(), **changes}, token)

    def sign_in(self, password=PASSWORD, request_id=None):
        body = {"request_id": request_id or fresh(), "password": password, **self.identifier()}
        return self.plaza.call("sso", "sso.v1.AuthService/SignIn", body)

    def send_otp(self, verification_id, request_id=None):
        body = {"request_id": request_id or fresh(), "verification_id": verification_id}
        return self.plaza.call("sso", "sso.v1.AuthService/SendOtp", body)

    def verify_otp(self, verification_id, code, request_id=None):
        body = {"request_id": request_id or fresh(), "verification_id": verification_id, "code": code}
        return self.plaza.call("sso", "sso.v1.AuthService/VerifyOtp", body)

    def messages(self):
        return self.plaza.inbox(self.destination)


def another(code):
    """A code that is not this one."""
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"
