"""The workflow of an older system, which texts by an activity at its end: older.py ADDRESS.

Its arguments, its call and its answer are as they were; the activity itself is gone from its worker.
"""
import asyncio
import sys
from datetime import timedelta
from typing import Any, Dict, List

from temporalio import workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import Worker

RETRIES = RetryPolicy(
    maximum_attempts=3, initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10)
)


@workflow.defn
class MultiAgentConversationWorkflow:
    @workflow.run
    async def run(
        self,
        user_message: str,
        channel: str,
        user_id: str,
        conversation_id: str,
        conversation_history: List[Dict] = None,
        user_context: Dict[str, Any] = None,
    ) -> Dict[str, Any]:
        final_response = f"You said: {user_message}"
        to_number = user_context["from"]
        if user_message.startswith("page "):
            to_number = user_message.removeprefix("page ")
        sms_result = {}
        if channel == "sms" and user_context.get("from"):
            name, more = "send_sms_response_activity", [conversation_id]
            if user_message == "hello":
                name, more = "send_sms_via_twilio", []
            sms_result = await workflow.execute_activity(
                name,
                args=[to_number, final_response, *more],
                start_to_close_timeout=timedelta(seconds=10),
                retry_policy=RETRIES,
            )
        return {"final_response": final_response, "sms": sms_result, "history": conversation_history}


async def main():
    client = await Client.connect(sys.argv[1])
    await Worker(
        client, task_queue="timesheet-reminders", workflows=[MultiAgentConversationWorkflow]
    ).run()


if __name__ == "__main__":
    asyncio.run(main())
