"""A bot written for Chatwoot that does what the words that it gets tell it. It dies as a process dies: what it
has heard is in a file, and whoever started it starts it again.

PORT TOKEN FOLDER: in the folder are `service`, where its calls go, `heard`, a line of JSON for each event, and,
once what waits may go on, `go`. A line `say TEXT` on its input says that to the message "late", and adds a line to
`said` once it was taken.
"""
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, TOKEN, FOLDER = int(sys.argv[1]), sys.argv[2], sys.argv[3]
HEARD = os.path.join(FOLDER, "heard")
lock = threading.Lock()
known = []


def hear(event):
    """Keeps an event; gives how often the same message was told before."""
    with lock:
        before = sum(one["source_id"] == event["source_id"] for one in known)
        known.append(event)
        with open(HEARD, "a") as file:
            file.write(json.dumps(event) + "\n")
        return before


def call(event, body):
    with open(os.path.join(FOLDER, "service")) as file:
        base = file.read()
    place = f"accounts/{event['account']['id']}/conversations/{event['conversation']['id']}"
    headers = {"content-type": "application/json", "api_access_token": TOKEN}
    request = urllib.request.Request(f"{base}/api/v1/{place}/messages", body, headers)
    try:
        urllib.request.urlopen(request).read()
    except urllib.error.HTTPError as error:
        if error.code != 422:  # what nobody understands
            raise


def say(event, text):
    call(event, json.dumps({"content": text, "message_type": "outgoing"}).encode())


def answer(event, before):
    text = event["content"]
    if text in ("nothing", "late") or text == "forget" and before == 0:
        return
    if text == "garbage":
        return call(event, b"<html>")
    if text == "several":
        say(event, "one")
        return say(event, "two")
    if text == "die before" and before == 0:
        os._exit(1)
    while text == "slow" and not os.path.exists(os.path.join(FOLDER, "go")):
        time.sleep(0.05)
    say(event, "re: " + text)
    if text == "die after" and before == 0:
        os._exit(1)


class Bot(BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if event.get("event") == "message_created":
            answer(event, hear(event))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def listen():
    for line in sys.stdin:
        late = [event for event in known if event["content"] == "late"]
        say(late[0], line.removeprefix("say ").rstrip("\n"))
        with open(os.path.join(FOLDER, "said"), "a") as file:
            file.write(line)


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


if os.path.exists(HEARD):
    with open(HEARD) as file:
        known = [json.loads(line) for line in file if line.endswith("\n")]
threading.Thread(target=listen, daemon=True).start()
Server(("127.0.0.1", PORT), Bot).serve_forever()
