"""A program as the agent that thinks about each turn for so many seconds and says what was said.

python3 thinker.py SECONDS DIALECT
"""
import json
import sys
import threading

seconds, dialect = float(sys.argv[1]), sys.argv[2]
lock = threading.Lock()


def say(*lines):
    with lock:
        print("\n".join(map(json.dumps, lines)), flush=True)


def answer_line(turn):
    own = {"turn": turn["id"], "ask": turn["ask"]}
    replies = [{"type": "reply", "body": said["body"], **own} for said in turn["messages"]]
    say(*replies, {"type": "done", **own})


def answer_prompt(asked):
    content = {"type": "text", "text": asked["params"]["prompt"][-1]["text"]}
    update = {"sessionUpdate": "agent_message_chunk", "content": content}
    params = {"sessionId": asked["params"]["sessionId"], "update": update}
    say(
        {"jsonrpc": "2.0", "method": "session/update", "params": params},
        {"jsonrpc": "2.0", "id": asked["id"], "result": {"stopReason": "end_turn"}},
    )


for line in sys.stdin:
    told = json.loads(line)
    if told.get("type") == "turn":
        threading.Timer(seconds, answer_line, [told]).start()
    elif told.get("method") == "session/prompt":
        threading.Timer(seconds, answer_prompt, [told]).start()
    elif told.get("method") in ("initialize", "session/new"):
        result = {"protocolVersion": 1, "sessionId": str(told["id"])}
        say({"jsonrpc": "2.0", "id": told["id"], "result": result})
