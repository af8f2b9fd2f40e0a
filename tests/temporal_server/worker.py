"""A worker whose workflows do what a test tells them.

worker.py ADDRESS TASK_QUEUE URL

Each turn is posted to the URL; what comes back says what the workflow does with it: {"say": [...]}, {"garbage": true},
or {"die": true}, which ends this process before anybody has heard of it.
"""
import asyncio
import json
import os
import sys
import urllib.request
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

ADDRESS, QUEUE, URL = sys.argv[1:4]
PATIENT = {"start_to_close_timeout": timedelta(minutes=5), "heartbeat_timeout": timedelta(seconds=2)}


def post(turn):
    request = urllib.request.Request(URL, json.dumps(turn).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


@activity.defn
async def think(turn: dict) -> dict:
    answer = asyncio.create_task(asyncio.to_thread(post, turn))
    while not answer.done():
        activity.heartbeat()
        await asyncio.wait([answer], timeout=0.4)
    told = answer.result()
    if told.get("die"):
        os._exit(1)
    return told


async def answer(turn):
    told = await workflow.execute_activity(think, turn, **PATIENT)
    return "<html>" if told.get("garbage") else {"replies": told["say"]} if told["say"] else None


@workflow.defn
class Asks:
    """Returns the answer to its turn."""

    @workflow.run
    async def run(self, turn: dict):
        return await answer(turn)


@workflow.defn
class Sends:
    """Sends each reply to its turn by an activity of chimein."""

    @workflow.run
    async def run(self, turn: dict):
        replies = await answer(turn)
        for reply in [replies] if isinstance(replies, str) else (replies or {"replies": []})["replies"]:
            await workflow.execute_activity(
                "send_message",
                args=[turn["thread"], {"bodi": reply} if reply == "<html>" else reply],
                task_queue="chimein",
                start_to_close_timeout=timedelta(seconds=10),
            )


@workflow.defn
class Talks:
    """Answers the turns of a thread, one after the other."""

    def __init__(self):
        self.turn_by_turn = asyncio.Lock()

    @workflow.run
    async def run(self, thread: dict):
        await workflow.wait_condition(lambda: False)

    @workflow.update
    async def turn(self, turn: dict):
        async with self.turn_by_turn:
            return await answer(turn)


async def main():
    while True:
        try:
            client = await Client.connect(ADDRESS)
            break
        except RuntimeError:
            await asyncio.sleep(0.1)
    runner = UnsandboxedWorkflowRunner()
    workflows = [Asks, Sends, Talks]
    await Worker(
        client, task_queue=QUEUE, workflows=workflows, activities=[think], workflow_runner=runner
    ).run()


asyncio.run(main())
