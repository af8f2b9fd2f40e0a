"""A program as the agent: repeats what is said. It is told turns, a line each, and writes lines back.

CHIMEIN_AGENT_KIND=stdio CHIMEIN_STDIO_COMMAND="python3 examples/stdio/bot.py" chimein serve
"""
import json
import sys
import threading

lock = threading.Lock()


def say(**line):
    with lock:
        print(json.dumps(line), flush=True)


def answer(turn):
    mine = {"turn": turn["id"], "ask": turn["ask"]}  # the same turn may be asked again meanwhile
    try:
        for message in turn["messages"]:
            say(type="reply", body=f"You said: {message['body']}", **mine)
        say(type="done", **mine)
    except Exception as error:
        print(f"ERROR turn {turn['id']}: {type(error).__name__}", file=sys.stderr, flush=True)
        say(type="error", retry=False, **mine)


for line in sys.stdin:
    said = json.loads(line)
    if said["type"] == "turn":  # the other one is cancel
        threading.Thread(target=answer, args=[said]).start()
