"""An agent in Python: repeats what is said. With a secret it answers nobody else.

CHIMEIN_AGENT_SECRET=whsec_… python3 examples/http/agent.py 9000
"""
import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = base64.b64decode(os.environ.get("CHIMEIN_AGENT_SECRET", "").removeprefix("whsec_"))


def is_signed(headers, body):
    sent = headers.get("webhook-timestamp", "0")
    if not sent.isdigit() or abs(time.time() - int(sent)) > 300:
        return False
    signed = f"{headers.get('webhook-id')}.{sent}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.digest(SECRET, signed, hashlib.sha256)).decode()
    return any(hmac.compare_digest(wanted, one) for one in headers.get("webhook-signature", "").split())


class Agent(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        is_ours = not SECRET or is_signed(self.headers, body)
        # The same turn may come again, and has the same id then.
        turn = json.loads(body) if is_ours else {"messages": []}
        texts = [f"You said: {message['body']}" for message in turn["messages"]]
        self.send_response((200 if texts else 204) if is_ours else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"replies": texts}).encode() if texts else b"")


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Agent).serve_forever()
