"""Twilio's REST helper for Python against the emulator: one line for each feature.

`CHIMEIN_EMULATOR` holds the JSON line that `chimein emulator` printed. The helper is the stock one; only its
HTTP client swaps scheme and host.
"""

import json
import os
import sys
import time
from urllib.parse import urlsplit, urlunsplit

from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

READY = json.loads(os.environ["CHIMEIN_EMULATOR"])


class Rerouted(TwilioHttpClient):
    """Sends everything to the emulator."""

    def request(self, method, url, *arguments, **named):
        parts = urlsplit(url)
        base = urlsplit(READY["api_url" if parts.hostname.startswith("api.") else "conversations_url"])
        there = urlunsplit((base.scheme, base.netloc, parts.path, parts.query, ""))
        return super().request(method, there, *arguments, **named)


def client(user, password):
    return Client(user, password, READY["account_sid"], http_client=Rerouted())


twilio = client(READY["account_sid"], READY["auth_token"])
service = twilio.conversations.v1.services(READY["chat_service_sid"])


def refused(status, code, act):
    try:
        act()
    except TwilioRestException as error:
        assert (error.status, error.code) == (status, code), f"refused with {error.status} {error.code}"
        return error
    raise AssertionError("was not refused")


def access():
    """wrong credentials are 401 with code 20003"""
    stranger = client(READY["account_sid"], "wrong")
    refused(401, 20003, stranger.conversations.v1.services(READY["chat_service_sid"]).fetch)


def conversation():
    """a conversation lives and dies"""
    for api in (twilio.conversations.v1, service):
        made = api.conversations.create(friendly_name="Söme", attributes='{"a":1}')
        assert api.conversations(made.sid).fetch().friendly_name == "Söme"
        assert made.date_created.year >= 2024
        assert api.conversations(made.sid).update(state="inactive").state == "inactive"
        assert api.conversations(made.sid).delete()
        refused(404, 20404, api.conversations(made.sid).fetch)


def participants():
    """a participant is added once"""
    made = service.conversations.create()
    participant = made.participants.create(identity="python")
    refused(409, 50433, lambda: made.participants.create(identity="python"))
    assert made.participants("python").fetch().sid == participant.sid
    found = service.participant_conversations.list(identity="python")
    assert [each.conversation_sid for each in found] == [made.sid]


def messages():
    """messages are listed both ways and in pages"""
    api = service.conversations(service.conversations.create().sid).messages
    sids = [api.create(author="system", body=f"ü{n}").sid for n in range(7)]
    assert [each.sid for each in api.list(page_size=3)] == sids
    assert [each.sid for each in api.list(order="desc", page_size=3)] == sids[::-1]


def webhooks():
    """webhook settings are lists and survive"""
    made = service.conversations.create()
    hook = made.webhooks.create(
        target="webhook",
        configuration_url="https://example.com/hook",
        configuration_method="POST",
        configuration_filters=["onMessageAdded", "onParticipantAdded"],
    )
    assert sorted(hook.configuration["filters"]) == ["onMessageAdded", "onParticipantAdded"]
    assert [each.sid for each in made.webhooks.list()] == [hook.sid]


def plain():
    """a plain message has its own times and texts"""
    made = twilio.messages.create(from_="+15557770001", to="+15557770002", body="plain")
    assert twilio.messages(made.sid).fetch().date_created is not None
    assert made.num_media == "0"
    assert [each.sid for each in twilio.messages.list(to="+15557770002")] == [made.sid]


def main():
    failed = False
    for feature in (access, conversation, participants, messages, webhooks, plain):
        started = time.monotonic()
        try:
            feature()
            print(f"ok   {feature.__doc__} ({(time.monotonic() - started) * 1000:.0f} ms)")
        except Exception as error:  # Every failure is one line, whatever it is.
            failed = True
            print(f"FAIL {feature.__doc__}: {type(error).__name__} {error}".replace("\n", " "))
    sys.exit(1 if failed else 0)


main()
