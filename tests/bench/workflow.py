"""A workflow that thinks about its turn for so many seconds and says what was said, and its worker.

python3 workflow.py ADDRESS SECONDS
"""
import asyncio
import sys

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

ADDRESS, SECONDS = sys.argv[1], float(sys.argv[2])


@workflow.defn
class Slow:
    @workflow.run
    async def run(self, turn: dict) -> dict:
        await asyncio.sleep(SECONDS)
        return {"replies": [said["body"] for said in turn["messages"]]}


async def main():
    client = await Client.connect(ADDRESS)
    runner = UnsandboxedWorkflowRunner()
    await Worker(client, task_queue="chat", workflows=[Slow], workflow_runner=runner).run()


asyncio.run(main())
