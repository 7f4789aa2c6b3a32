"""Label Studio users, made the way a person is: by the organization's invite link and its form."""

from __future__ import annotations

import httpx

from backend.errors import LabelStudioError, LabelStudioUnreachableError
from backend.harness.api import TIMEOUT_S, Api, patiently, raise_for_status
from backend.harness.server import Account


def annotator_account(admin: Api, number: int, password: str) -> Account:
    """The user annotator<number>@example.com, signed up at the first call."""
    return account_of(admin, f"annotator{number}@example.com", password)


def account_of(admin: Api, email: str, password: str) -> Account:
    """The user of an address, signed up at the first call; a busy Label Studio is asked again."""

    def once() -> Account:
        try:
            return sign_in(admin, email, password)
        except LabelStudioUnreachableError:
            raise
        except LabelStudioError:
            return sign_up(admin, email, password)

    return patiently(once)


def sign_up(admin: Api, email: str, password: str) -> Account:
    """A new member of the admin's organization; LabelStudioError: the form was refused."""
    invite_url = admin.call("GET", "/api/invite")["invite_url"]
    return _account(admin, invite_url, email, password)


def sign_in(admin: Api, email: str, password: str) -> Account:
    """A user who signed up before; LabelStudioError: no such user, or another password."""
    return _account(admin, "/user/login/", email, password)


def _account(admin: Api, form: str, email: str, password: str) -> Account:
    """The user whom a sign-up or sign-in form lets in; both answer a redirect when they do."""
    with httpx.Client(base_url=admin.session.base_url, timeout=TIMEOUT_S) as browser:
        raise_for_status(browser.get(form))
        fields = {"email": email, "password": password}
        fields["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
        reply = browser.post(form, data=fields, headers={"Referer": str(browser.base_url)})
        raise_for_status(reply)
        if not reply.is_redirect:
            raise LabelStudioError(f"{form.split('?')[0]} refuses {email}: {reply.status_code}")
        reply = browser.get("/api/current-user/token")
        raise_for_status(reply)
    return Account(email, password, reply.json()["token"])
