"""A program as the agent that says what is said, in either dialect, and waits as long as it is held.

python3 program.py FOLDER DIALECT: in the folder it notes what it was asked, and finds whether it is held.
"""
import json
import os
import sys
import threading
import time

folder, dialect = sys.argv[1:]
lock = threading.Lock()


def say(line):
    with lock:
        print(json.dumps(line), flush=True)


def note(name, line):
    with open(os.path.join(folder, name), "a") as file:
        file.write(f"{line}\n")


def think(text):
    note("asked", text)
    while os.path.exists(os.path.join(folder, "hold")):
        time.sleep(0.02)
    return text


def answer_line(turn):
    own = {"turn": turn["id"], "ask": turn["ask"]}
    for message in turn["messages"]:
        say({"type": "reply", "body": think(message["body"]), **own})
    say({"type": "done", **own})


def answer_prompt(asked):
    session = asked["params"]["sessionId"]
    text = think(asked["params"]["prompt"][-1]["text"])
    chunk = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}
    update = {"sessionId": session, "update": chunk}
    say({"jsonrpc": "2.0", "method": "session/update", "params": update})
    say({"jsonrpc": "2.0", "id": asked["id"], "result": {"stopReason": "end_turn"}})


def hear_acp(asked):
    results = {"initialize": {"protocolVersion": 1}, "session/new": {"sessionId": str(asked.get("id"))}}
    if asked["method"] == "session/prompt":
        threading.Thread(target=answer_prompt, args=[asked]).start()
    elif asked["method"] in results:
        say({"jsonrpc": "2.0", "id": asked["id"], "result": results[asked["method"]]})


note("pids", os.getpid())
for line in sys.stdin:
    told = json.loads(line)
    if dialect == "acp":
        hear_acp(told)
    elif told["type"] == "turn":
        threading.Thread(target=answer_line, args=[told]).start()
