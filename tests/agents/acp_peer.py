"""An agent of the Agent Client Protocol, by its Python SDK, that does what the words of people tell it.

What it was asked stands in the folder that it is given, with its process id and whatever lets it go on.
"""
import asyncio
import json
import os
import sys
import uuid

import acp
from acp.schema import PermissionOption, ToolCallUpdate

folder = sys.argv[1]


class Bot(acp.Agent):
    def on_connect(self, conn):
        self.client, self.cancelled = conn, {}

    async def initialize(self, protocol_version, client_capabilities=None, client_info=None, **more):
        assert not client_capabilities.terminal and not client_capabilities.fs.read_text_file
        return acp.InitializeResponse(protocol_version=acp.PROTOCOL_VERSION)

    async def new_session(self, cwd, mcp_servers=None, **more):
        assert os.path.isabs(cwd)
        return acp.NewSessionResponse(session_id=uuid.uuid4().hex)

    async def cancel(self, session_id, **more):
        self.cancelled[session_id].set()

    async def say(self, session, text):
        await self.client.session_update(session, acp.update_agent_message_text(text))

    async def allows(self, session):
        """Asks for what it should not be given."""
        kinds = ["allow_once", "reject_once"]
        options = [PermissionOption(option_id=kind, name=kind, kind=kind) for kind in kinds]
        call = ToolCallUpdate(tool_call_id="call", title="rm -r")
        asked = await self.client.request_permission(session, call, options)
        return getattr(asked.outcome, "option_id", "") != "reject_once"

    async def prompt(self, prompt, session_id, **more):
        self.cancelled[session_id] = stop = asyncio.Event()
        text, before = prompt[-1].text, note(prompt)
        if text == "die before" and not before:
            os._exit(3)
        await self.client.session_update(session_id, acp.update_agent_thought_text("hm"))
        if await self.allows(session_id):
            text = "it is allowed"
        if text == "garbage":
            sys.stdout.write("<html>\n{}\n[]\n")
            sys.stdout.flush()
            raise acp.RequestError.internal_error()
        while text == "slow" and not os.path.exists(os.path.join(folder, "go")) and not stop.is_set():
            await asyncio.sleep(0.02)
        if stop.is_set():
            with open(os.path.join(folder, "stopped"), "a") as stopped:
                stopped.write(json.dumps(text) + "\n")
            return acp.PromptResponse(stop_reason="cancelled")
        for part in {"nothing": [], "several": ["one\n", "two"]}.get(text, ["re: ", text]):
            await self.say(session_id, part)
        if text == "die after" and not before:
            os._exit(3)
        return acp.PromptResponse(stop_reason="end_turn")


def note(prompt):
    """Notes a prompt; says how often its last words were said before."""
    with open(os.path.join(folder, "asked"), "a+") as asked:
        asked.seek(0)
        before = sum(json.loads(line)[-1] == prompt[-1].text for line in asked)
        asked.write(json.dumps([block.text for block in prompt]) + "\n")
        return before


with open(os.path.join(folder, "pid"), "w") as pid:
    pid.write(str(os.getpid()))
asyncio.run(acp.run_agent(Bot()))
