"""Workflows that end as they are told: closed.py ADDRESS.

`Waits` goes on until the signal `end` says how it ends; `Strays` calls an activity that nobody has, and says what
came of it.
"""
import asyncio
import sys
from datetime import timedelta

from temporalio import workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker


@workflow.defn
class Waits:
    def __init__(self):
        self.how = None

    @workflow.run
    async def run(self, turn: dict) -> dict:
        await workflow.wait_condition(lambda: self.how is not None)
        if self.how == "fail":
            raise ApplicationError("it is told to", non_retryable=True)
        return {"replies": ["done"]}

    @workflow.signal
    async def end(self, how: str):
        self.how = how


@workflow.defn
class Strays:
    @workflow.run
    async def run(self, turn: dict) -> dict:
        try:
            await workflow.execute_activity(
                "send_mesage",
                args=[turn["thread"], "hi"],
                task_queue="chimein",
                start_to_close_timeout=timedelta(seconds=10),
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        except ActivityError as error:
            return {"replies": [str(error.cause)]}


async def main():
    client = await Client.connect(sys.argv[1])
    runner = UnsandboxedWorkflowRunner()
    await Worker(client, task_queue="chat", workflows=[Waits, Strays], workflow_runner=runner).run()


asyncio.run(main())
