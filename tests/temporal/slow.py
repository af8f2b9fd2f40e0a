"""Workflows that think until they are let: slow.py ADDRESS FOLDER.

Each turn's text is a line of FOLDER/asked; they go on once there is FOLDER/go.
"""
import asyncio
import os
import sys
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

ADDRESS, FOLDER = sys.argv[1:3]


@activity.defn
async def think(turn: dict) -> str:
    text = turn["messages"][-1]["body"]
    with open(os.path.join(FOLDER, "asked"), "a") as asked:
        asked.write(text + "\n")
    while not os.path.exists(os.path.join(FOLDER, "go")):
        activity.heartbeat()
        await asyncio.sleep(0.05)
    return f"re: {text}"


async def answer(turn):
    patience = {"start_to_close_timeout": timedelta(minutes=5), "heartbeat_timeout": timedelta(seconds=2)}
    return {"replies": [await workflow.execute_activity(think, turn, **patience)]}


@workflow.defn
class ATurn:
    @workflow.run
    async def run(self, turn: dict):
        return await answer(turn)


@workflow.defn
class Updates:
    def __init__(self):
        self.turn_by_turn = asyncio.Lock()

    @workflow.run
    async def run(self, thread: dict):
        await workflow.wait_condition(lambda: False)

    @workflow.update
    async def turn(self, turn: dict):
        async with self.turn_by_turn:
            return await answer(turn)


@workflow.defn
class Signals:
    def __init__(self):
        self.turns = []

    @workflow.run
    async def run(self, thread: dict):
        while True:
            await workflow.wait_condition(lambda: self.turns)
            turn = self.turns.pop(0)
            reply = await answer(turn)
            patience = {"start_to_close_timeout": timedelta(seconds=10)}
            await workflow.execute_activity(
                "send_message", args=[turn["thread"], reply, turn["id"]], task_queue="chimein", **patience
            )

    @workflow.signal
    def turn(self, turn: dict):
        self.turns.append(turn)


async def main():
    while True:
        try:
            client = await Client.connect(ADDRESS)
            break
        except RuntimeError:
            await asyncio.sleep(0.1)
    await Worker(
        client,
        task_queue="chat",
        workflows=[ATurn, Updates, Signals],
        activities=[think],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ).run()


asyncio.run(main())
