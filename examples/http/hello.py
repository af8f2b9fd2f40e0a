from http.server import BaseHTTPRequestHandler, HTTPServer
import json

class Agent(BaseHTTPRequestHandler):
    def do_POST(self):
        turn = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = [f"You said: {message['body']}" for message in turn["messages"]]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"replies": texts}).encode())

HTTPServer(("127.0.0.1", 9000), Agent).serve_forever()
