"""A platform on its bus, by NATS's own protocol, that thinks about "slow" until it is let: bus_platform.py PORT FOLDER.

What it has heard is a line of FOLDER/heard; it goes on once there is FOLDER/go. An event is taken off the bus once it
is answered, and comes again after two seconds. Where the bus goes, it goes too.
"""
import json
import os
import socket
import sys
import time

PORT, FOLDER = int(sys.argv[1]), sys.argv[2]
PREFIX = "local."
CONSUMER = {
    "durable_name": "thinker", "deliver_subject": "_INBOX.thinker", "filter_subject": f"{PREFIX}internal.ingress.v1",
    "ack_policy": "explicit", "ack_wait": 2_000_000_000, "max_ack_pending": 1,
}


def publish(subject, body, reply=""):
    bus.write(f"PUB {subject} {reply} {len(body)}\r\n".encode() + body + b"\r\n")
    bus.flush()


def received():
    """Gives the reply subject and the body of each message."""
    while line := bus.readline():
        verb, *words = line.decode().split()
        if verb == "PING":
            bus.write(b"PONG\r\n")
            bus.flush()
        if verb in ("MSG", "HMSG"):
            head = int(words[-2]) if verb == "HMSG" else 0
            body = bus.read(int(words[-1]) + 2)[head:-2]
            yield words[2], body


def answer(event):
    text, author = event["message"]["text"], event["identity"]["external"]["id"]
    with open(os.path.join(FOLDER, "heard"), "a") as heard:
        heard.write(json.dumps([text, author]) + "\n")
    while text == "slow" and not os.path.exists(os.path.join(FOLDER, "go")):
        time.sleep(0.02)
    said = {"id": "cand-1", "kind": "text", "source": "llm-bot", "status": "selected", "text": "re: " + text}
    event |= {"type": "egress.deliver.v1", "candidates": [said | {"createdAt": "2026-11-21T12:00:05.000Z", "priority": 10}]}
    event["routing"] = {"stage": "response", "slip": [{"id": "llm-bot", "status": "OK"}], "history": []}
    publish(PREFIX + event["egress"]["destination"], json.dumps(event).encode())


try:
    bus = socket.create_connection(("127.0.0.1", PORT)).makefile("rwb")
    bus.write(b'CONNECT {"verbose":false,"headers":true}\r\nSUB _INBOX.thinker 1\r\nSUB _INBOX.made 2\r\n')
    made = json.dumps({"stream_name": "BITBRAT", "config": CONSUMER}).encode()
    publish("$JS.API.CONSUMER.DURABLE.CREATE.BITBRAT.thinker", made, "_INBOX.made")
    for reply, body in received():
        if not reply.startswith("$JS.ACK."):
            # How the consumer was made, or that there is no stream yet: whoever started this starts it again.
            if b'"error"' in body or not body:
                break
            continue
        event = json.loads(body)
        if event["type"] == "chat.message.v1":
            answer(event)
        publish(reply, b"+ACK")
except OSError:
    pass
