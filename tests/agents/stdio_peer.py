"""A program on its standard streams that does what the words of people tell it.

What it was asked stands in the folder that it is given, with its process id and whatever lets it go on.
"""
import json
import os
import sys
import threading
import time

folder = sys.argv[1]
lock = threading.Lock()


def say(**line):
    with lock:
        print(json.dumps(line), flush=True)


def note(turn):
    """Notes a turn; says how often it was asked before."""
    with lock, open(os.path.join(folder, "asked"), "a+") as asked:
        asked.seek(0)
        before = sum(json.loads(line)["id"] == turn["id"] for line in asked)
        asked.write(json.dumps(turn) + "\n")
        return before


def answer(turn):
    text, own = turn["messages"][-1]["body"], {"turn": turn["id"], "ask": turn["ask"]}
    before = note(turn)
    if text == "die before" and not before:
        os._exit(3)
    if text == "die after" and not before:
        say(type="reply", body="re: " + text, **own)
        os._exit(3)
    if text == "late" or text == "forget" and not before:
        return say(type="later", **own)
    if text == "garbage":
        sys.stdout.write("<html>\n{}\n[]\n")
        return say(type="reply", bdoy="nobody knows that", **own)
    while text == "slow" and not os.path.exists(os.path.join(folder, "go")):
        time.sleep(0.02)
    for said in {"nothing": [], "several": ["one", "two"]}.get(text, ["re: " + text]):
        say(type="reply", body=said, **own)
    say(type="done", **own)


with open(os.path.join(folder, "pid"), "w") as pid:
    pid.write(str(os.getpid()))
for line in sys.stdin:
    said = json.loads(line)
    if said["type"] == "turn":
        threading.Thread(target=answer, args=[said]).start()
