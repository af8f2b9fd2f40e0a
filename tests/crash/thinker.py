"""An agent behind a URL, or a model behind the OpenAI API, that thinks about "slow" until it is let: thinker.py PORT FOLDER.

What it has heard is a line of FOLDER/heard; it goes on once there is FOLDER/go.
"""
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, FOLDER = int(sys.argv[1]), sys.argv[2]


def think(text, author):
    with open(os.path.join(FOLDER, "heard"), "a") as heard:
        heard.write(json.dumps([text, author]) + "\n")
    while text == "slow" and not os.path.exists(os.path.join(FOLDER, "go")):
        time.sleep(0.02)
    return "re: " + text


def answer(asked):
    """What a turn is answered, or a request for a completion, which says nobody's number."""
    if asked.get("type") == "turn":
        return {"replies": [think(message["body"], message["author"]) for message in asked["messages"]]}
    text = think(asked["messages"][-1]["content"], None)
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}


class Agent(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.dumps(answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Whoever asked may be gone."""


Server(("127.0.0.1", PORT), Agent).serve_forever()
