"""A workflow that answers turns, and its worker: CHIMEIN_TEMPORAL_TASK_QUEUE=chat, CHIMEIN_TEMPORAL_WORKFLOW=Chat.

Whatever dies on the way, the turn is answered once: Temporal remembers how far the workflow has come.
"""

import asyncio
import os
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker


@activity.defn
async def think(text: str) -> str:
    """Asks a model, a database, a person: what may fail, and is tried again."""
    return f"You said: {text}"


@workflow.defn
class Chat:
    @workflow.run
    async def run(self, turn: dict) -> dict:
        text = turn["messages"][-1]["body"] or ""
        limit = timedelta(minutes=1)
        said = await workflow.execute_activity(think, text, start_to_close_timeout=limit)
        return {"replies": [said]}  # None says that there is nothing to say


async def main():
    client = await Client.connect(os.environ.get("TEMPORAL_ADDRESS", "localhost:7233"))
    await Worker(client, task_queue="chat", workflows=[Chat], activities=[think]).run()


if __name__ == "__main__":
    asyncio.run(main())
