"""A consumer of queues that thinks about "slow" until it is let: consumer.py FOLDER TURNS REPLIES.

What it has heard is a line of FOLDER/heard; it goes on once there is FOLDER/go. What it has received stays its own
for two seconds only, so that it may hear again what it still thinks about, as may another one.
"""
import json
import os
import sys
import time

import boto3
import botocore.exceptions

folder, turns, replies = sys.argv[1:]
sqs = boto3.client("sqs")
away = (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError)


def receive():
    try:
        return sqs.receive_message(QueueUrl=turns, WaitTimeSeconds=1, VisibilityTimeout=2).get("Messages", [])
    except away:
        time.sleep(0.05)
        return []


def answer(turn):
    said = turn["messages"][0]
    with open(os.path.join(folder, "heard"), "a") as heard:
        heard.write(json.dumps([said["body"], said["author"]]) + "\n")
    while said["body"] == "slow" and not os.path.exists(os.path.join(folder, "go")):
        time.sleep(0.02)
    letter = {"turn": turn["id"], "thread": turn["thread"], "replies": ["re: " + said["body"]]}
    # Each letter is one of its own: what it says twice is told apart by chimein.
    own = {"MessageGroupId": turn["thread"], "MessageDeduplicationId": os.urandom(16).hex()}
    sqs.send_message(QueueUrl=replies, MessageBody=json.dumps(letter), **own)


while True:
    for message in receive():
        try:
            answer(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=turns, ReceiptHandle=message["ReceiptHandle"])
        except away:
            pass  # it comes again
