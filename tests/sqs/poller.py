"""Plays AWS Lambda's event source mapping: python poller.py HANDLER.py TURN_QUEUE_URL

Receives batches, gives them to the handler as Lambda does, deletes what did not fail, and lets what did be
received again. Runs until it is killed.
"""

import importlib.util
import sys

import boto3

path, queue = sys.argv[1:]
spec = importlib.util.spec_from_file_location("handler", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sqs = boto3.client("sqs")

while True:
    got = sqs.receive_message(
        QueueUrl=queue,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=20,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["All"],
    )
    messages = got.get("Messages", [])
    if not messages:
        continue
    records = [
        {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": message.get("MessageAttributes", {}),
            "eventSource": "aws:sqs",
        }
        for message in messages
    ]
    failures = module.handler({"Records": records}, None)["batchItemFailures"]
    failed = {failure["itemIdentifier"] for failure in failures}
    for message in messages:
        receipt = {"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]}
        if message["MessageId"] in failed:
            sqs.change_message_visibility(VisibilityTimeout=0, **receipt)
        else:
            sqs.delete_message(**receipt)
