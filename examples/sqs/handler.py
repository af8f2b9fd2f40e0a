"""A Lambda that answers turns: triggered by the queue of turns, it sends its replies to REPLY_QUEUE_URL.

Let the trigger report batch item failures: a turn that fails comes again, and goes to the dead-letter queue
after the queue's maxReceiveCount; the others of its batch are done.
"""

import json
import os

import boto3

sqs = boto3.client("sqs")
REPLIES = os.environ["REPLY_QUEUE_URL"]


def answer(turn):
    """Thinks. An empty list says that there is nothing to say."""
    text = turn["messages"][-1]["body"] or ""
    return [f"You said: {text}"]


def handler(event, context):
    failed, stuck = [], set()
    for record in event["Records"]:
        group = record["attributes"].get("MessageGroupId")
        try:
            if group in stuck:
                raise RuntimeError("waits for the turn before it")
            turn = json.loads(record["body"])
            reply = {"turn": turn["id"], "thread": turn["thread"], "replies": answer(turn)}
            order = {"MessageGroupId": turn["thread"]}
            if REPLIES.endswith(".fifo"):
                order["MessageDeduplicationId"] = turn["id"]
            sqs.send_message(QueueUrl=REPLIES, MessageBody=json.dumps(reply), **order)
        except Exception as error:
            print(f"turn in message {record['messageId']} failed: {type(error).__name__}")
            failed.append({"itemIdentifier": record["messageId"]})
            stuck.add(group)
    return {"batchItemFailures": failed}
