"""A bot written for Chatwoot that says at once that it has heard, thinks for so many seconds, and says what was said.

python3 bot.py SECONDS TOKEN PORT SERVICE_PORT
"""
import json
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

seconds, token, port, service = float(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]


def answer(event):
    place = f"accounts/{event['account']['id']}/conversations/{event['conversation']['id']}/messages"
    headers = {"content-type": "application/json", "api_access_token": token}
    said = json.dumps({"content": event["content"], "message_type": "outgoing"}).encode()
    url = f"http://127.0.0.1:{service}/api/v1/{place}"
    urllib.request.urlopen(urllib.request.Request(url, said, headers)).read()


class Bot(BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if event["event"] == "message_created":
            threading.Timer(seconds, answer, [event]).start()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


Server(("127.0.0.1", port), Bot).serve_forever()
