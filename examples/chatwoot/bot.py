"""A bot written for Chatwoot: repeats what is said, and gives a conversation to a person who asks for one.

CHATWOOT_URL=http://localhost:3000 CHATWOOT_TOKEN=… CHATWOOT_SECRET=… python3 bot.py 8081
"""
import hashlib
import hmac
import json
import os
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BASE, TOKEN = os.environ["CHATWOOT_URL"], os.environ["CHATWOOT_TOKEN"]
SECRET = os.environ.get("CHATWOOT_SECRET", "").encode()


def call(event, path, **body):
    url = f"{BASE}/api/v1/accounts/{event['account']['id']}/conversations/{event['conversation']['id']}/{path}"
    headers = {"content-type": "application/json", "api_access_token": TOKEN}
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()


class Bot(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        signed = self.headers.get("x-chatwoot-timestamp", "").encode() + b"." + body
        wanted = "sha256=" + hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
        is_ours = not SECRET or hmac.compare_digest(wanted, self.headers.get("x-chatwoot-signature", ""))
        event = json.loads(body) if is_ours else {}
        if event.get("event") == "message_created" and event["message_type"] == "incoming":
            call(event, "messages", content="You said: " + (event["content"] or ""), message_type="outgoing")
            if "person" in (event["content"] or ""):
                call(event, "messages", content="Asked for a person.", private=True)
                call(event, "toggle_status", status="open")
        self.send_response(200 if is_ours else 401)
        self.end_headers()


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Bot).serve_forever()
