"""The official Agents SDK through the chain, with its Responses model."""

import asyncio
import json
from dataclasses import dataclass

import agents
import openai
import pytest
from agents.memory.openai_responses_compaction_session import OpenAIResponsesCompactionSession
from agents.models.openai_responses import OpenAIResponsesWSModel
from pydantic import BaseModel

from conftest import MODEL

agents.set_tracing_disabled(True)


@dataclass
class Weather:
    """A tool that remembers what it was called with."""

    calls: list[str]

    def tool(self):
        @agents.function_tool
        def get_weather(city: str) -> str:
            """The weather in a city.

            Args:
                city: its name
            """
            self.calls.append(city)
            return f"It is sunny ({len(self.calls)})."

        return get_weather


@pytest.fixture
def model(base_url):
    client = openai.AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0, timeout=30)
    return agents.OpenAIResponsesModel(model=MODEL, openai_client=client)


def run(agent, text, **how):
    return asyncio.run(agents.Runner.run(agent, text, max_turns=4, **how))


def test_answer(model):
    """An agent's instructions and input reach the model."""
    result = run(agents.Agent(name="a", instructions="Talk like a pirate.", model=model), "ahoy")
    assert '1 system: "Talk like a pirate."' in result.final_output and '2 user: "ahoy"' in result.final_output
    assert result.raw_responses[0].usage.output_tokens > 0


def test_tool_loop(model):
    """A function tool is called with the model's arguments, and its result, with the items sent back verbatim, reaches the model."""
    weather = Weather([])
    result = run(agents.Agent(name="a", model=model, tools=[weather.tool()]), "weather in Oslo")
    assert weather.calls == ["weather in Oslo"]
    assert result.final_output.startswith("The tools say: It is sunny (1).") and "calls get_weather" in result.final_output
    assert "description\":\"The weather in a city.\"" in result.final_output.replace(": ", ":")


def test_tool_required(model):
    """tool_choice required ends: the SDK resets it after the first call."""
    weather = Weather([])
    agent = agents.Agent(name="a", model=model, tools=[weather.tool()], model_settings=agents.ModelSettings(tool_choice="required"))
    result = run(agent, "anything")
    assert weather.calls == ["anything"] and "The tools say: It is sunny (1)." in result.final_output


def test_reasoning_loop(model):
    """Reasoning before a tool call goes back with the call (litellm#42005)."""
    weather = Weather([])
    agent = agents.Agent(name="a", model=model, tools=[weather.tool()])
    result = run(agent, "mock: reasoning=\"my plan\"\nweather")
    assert weather.calls == ["weather"]
    assistant = [line for line in result.final_output.splitlines() if " assistant:" in line]
    assert len(assistant) == 1 and 'reasoning="my plan"' in assistant[0] and "calls get_weather" in assistant[0]


def test_parallel_tools(model):
    """Two calls of one turn are both run and both answered (litellm#21154)."""
    weather = Weather([])
    agent = agents.Agent(name="a", model=model, tools=[weather.tool()])
    result = run(agent, "mock: call=get_weather calls=2\nweather twice")
    assert weather.calls == ["weather twice"] * 2
    assert "It is sunny (1).; It is sunny (2)." in result.final_output
    assert len([line for line in result.final_output.splitlines() if " assistant:" in line]) == 1


def test_streamed(model):
    """A streamed run: text deltas, the tool's call and its output as run items, the same final output."""
    weather = Weather([])
    agent = agents.Agent(name="a", model=model, tools=[weather.tool()])

    async def main():
        result = agents.Runner.run_streamed(agent, "weather in Rome", max_turns=4)
        deltas, items = "", []
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                deltas += event.data.delta
            elif event.type == "run_item_stream_event":
                items.append(event.name)
        return result, deltas, items

    result, deltas, items = asyncio.run(main())
    assert weather.calls == ["weather in Rome"]
    assert items == ["tool_called", "tool_output", "message_output_created"]
    assert deltas == result.final_output and deltas.startswith("The tools say: It is sunny (1).")


def test_output_type(model):
    """A pydantic output type is parsed from the answer."""

    class City(BaseModel):
        name: str
        people: int

    result = run(agents.Agent(name="a", model=model, output_type=City), "Lima")
    assert result.final_output == City(name="Lima", people=1)


def test_handoff(model):
    """A handoff to another agent is a tool call whose history the next agent's model reads."""
    forecaster = agents.Agent(name="forecaster", instructions="You forecast.", model=model)
    front = agents.Agent(name="front", instructions="You greet.", model=model, handoffs=[forecaster])
    result = run(front, "please ask the forecaster")
    assert result.last_agent.name == "forecaster"
    assert '"You forecast."' in result.final_output and "calls transfer_to_forecaster" in result.final_output


def test_history(model):
    """to_input_list() of one run is valid input of the next."""
    agent = agents.Agent(name="a", model=model)

    async def main():
        first = await agents.Runner.run(agent, "first question")
        return await agents.Runner.run(agent, first.to_input_list() + [{"role": "user", "content": "second question"}])

    lines = asyncio.run(main()).final_output.splitlines()
    assert lines[1] == '1 user: "first question"' and lines[3] == '3 user: "second question"'
    assert lines[2].startswith("2 assistant:") and json.dumps("I received 1 messages.")[1:-1] in lines[2]


def test_cut(model):
    """A cut stream raises; it is not a final output (codex-lb#1833)."""
    agent = agents.Agent(name="a", model=model)

    async def main():
        result = agents.Runner.run_streamed(agent, "mock: cut-after=4\nhello world")
        async for _ in result.stream_events():
            pass

    with pytest.raises(Exception) as e:
        asyncio.run(main())
    assert isinstance(e.value, (openai.APIError, agents.AgentsException)), e.value


class Workspace:
    """What the SDK's own tools do: an editor of files in memory."""

    def __init__(self):
        self.files = {}

    def create_file(self, operation):
        self.files[operation.path] = agents.apply_diff("", operation.diff, mode="create")
        return agents.ApplyPatchResult(status="completed", output=f"created {operation.path}")

    def update_file(self, operation):
        self.files[operation.path] = agents.apply_diff(self.files[operation.path], operation.diff)
        return agents.ApplyPatchResult(status="completed", output=f"updated {operation.path}")

    def delete_file(self, operation):
        del self.files[operation.path]
        return agents.ApplyPatchResult(status="completed", output=f"deleted {operation.path}")


def test_shell_tool(model):
    """ShellTool: the client runs the model's commands, and what they wrote goes back, whole and streamed."""
    ran = []

    async def execute(request):
        ran.extend(request.data.action.commands)
        outcome = agents.ShellCallOutcome(type="exit", exit_code=0)
        return agents.ShellResult(output=[agents.ShellCommandOutput(command=c, stdout=f"did {c}", outcome=outcome) for c in request.data.action.commands])

    agent = agents.Agent(name="a", model=model, tools=[agents.ShellTool(executor=execute)])
    prompt = "mock: call=`shell {\"commands\":[\"ls -l\",\"pwd\"]}`\nlist"

    async def main():
        whole = await agents.Runner.run(agent, prompt, max_turns=4)
        streamed = agents.Runner.run_streamed(agent, prompt, max_turns=4)
        async for _ in streamed.stream_events():
            pass
        return whole.final_output, streamed.final_output

    for text in asyncio.run(main()):
        assert "did ls -l" in text and "did pwd" in text and "calls shell" in text
    assert ran == ["ls -l", "pwd"] * 2


def test_apply_patch_tool(model):
    """ApplyPatchTool: the client applies the model's patch, and its result goes back, in history too."""
    workspace = Workspace()
    agent = agents.Agent(name="a", model=model, tools=[agents.ApplyPatchTool(editor=workspace)])
    create = json.dumps({"type": "create_file", "path": "a.txt", "diff": "+one\n+two \"ü\"\n"})
    update = json.dumps({"type": "update_file", "path": "a.txt", "diff": "@@\n-one\n+1\n two \"ü\"\n"})
    result = run(agent, f"patch\nmock: turn=1 call=`apply_patch {create}`\nmock: turn=2 call=`apply_patch {update}`")
    assert workspace.files == {"a.txt": "1\ntwo \"ü\"\n"} or workspace.files == {"a.txt": "1\ntwo \"ü\""}
    assert "created a.txt" in result.final_output and "updated a.txt" in result.final_output and result.final_output.count("calls apply_patch") == 2


def test_store_false(model):
    """store=False with encrypted reasoning asked for: the thought before a call goes back with it."""
    weather = Weather([])
    settings = agents.ModelSettings(store=False, response_include=["reasoning.encrypted_content"], reasoning=openai.types.Reasoning(summary="auto"))
    agent = agents.Agent(name="a", model=model, tools=[weather.tool()], model_settings=settings)
    result = run(agent, "mock: reasoning=\"my plan\" call=get_weather\nweather")
    assert weather.calls == ["weather"]
    assistant = [line for line in result.final_output.splitlines() if " assistant:" in line]
    assert len(assistant) == 1 and 'reasoning="my plan"' in assistant[0]


@pytest.mark.server
def test_previous_response(model):
    """auto_previous_response_id: only what is new is sent, through a tool loop and a second run by previous_response_id."""
    weather = Weather([])
    agent = agents.Agent(name="a", model=model, tools=[weather.tool()])

    async def main():
        first = await agents.Runner.run(agent, "weather in Oslo", max_turns=4, auto_previous_response_id=True)
        plain = agents.Agent(name="b", model=model)
        return first, await agents.Runner.run(plain, "and now?", previous_response_id=first.last_response_id)

    first, second = asyncio.run(main())
    assert weather.calls == ["weather in Oslo"] and first.final_output.startswith("The tools say: It is sunny (1).")
    assert first.final_output.count('user: "weather in Oslo"') == 1
    for part in ('user: "weather in Oslo"', "calls get_weather", 'user: "and now?"'):
        assert part in second.final_output


@pytest.mark.server
def test_conversations_session(base_url, model):
    """OpenAIConversationsSession keeps a chat with a tool loop in a conversation; a second run, streamed, goes on from it."""
    client = openai.AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0, timeout=30)
    session = agents.OpenAIConversationsSession(openai_client=client)
    weather = Weather([])

    async def main():
        first = await agents.Runner.run(agents.Agent(name="a", model=model, tools=[weather.tool()]), "weather in Oslo", max_turns=4, session=session)
        second = agents.Runner.run_streamed(agents.Agent(name="b", model=model), "and now?", session=session)
        async for _ in second.stream_events():
            pass
        items = await session.get_items()
        last = await session.get_items(limit=2)
        popped = await session.pop_item()
        left = await session.get_items()
        await session.clear_session()
        return first, second, items, last, popped, left

    first, second, items, last, popped, left = asyncio.run(main())
    assert weather.calls == ["weather in Oslo"] and first.final_output.startswith("The tools say: It is sunny (1).")
    for part in ('user: [text "weather in Oslo"]', "calls get_weather", 'user: "and now?"'):
        assert part in second.final_output
    assert [item["type"] for item in items] == ["message", "function_call", "function_call_output", "message", "message", "message"]
    assert last == items[-2:] and popped == items[-1] and left == items[:-1]


@pytest.mark.server
def test_conversation_id(model):
    """conversation_id: the server has the history, only what is new is sent."""
    weather = Weather([])

    async def main():
        chat = await model._client.conversations.create()
        first = await agents.Runner.run(agents.Agent(name="a", model=model, tools=[weather.tool()]), "weather in Oslo", max_turns=4, conversation_id=chat.id)
        return first, await agents.Runner.run(agents.Agent(name="b", model=model), "and now?", conversation_id=chat.id)

    first, second = asyncio.run(main())
    assert weather.calls == ["weather in Oslo"] and first.final_output.count('user: "weather in Oslo"') == 1
    for part in ('user: "weather in Oslo"', "calls get_weather", 'user: "and now?"'):
        assert part in second.final_output


@pytest.mark.websocket
def test_websocket_model(base_url):
    """OpenAIResponsesWSModel: a tool loop, a streamed run that goes on from it by previous_response_id and one without a store, over one WebSocket."""
    weather = Weather([])

    async def main():
        client = openai.AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0, timeout=30)
        model = OpenAIResponsesWSModel(model=MODEL, openai_client=client)
        first = await agents.Runner.run(agents.Agent(name="a", model=model, tools=[weather.tool()]), "weather in Oslo", max_turns=4)
        second = agents.Runner.run_streamed(agents.Agent(name="b", model=model), "and now?", previous_response_id=first.last_response_id)
        async for _ in second.stream_events():
            pass
        socket = model._ws_connection
        unstored = agents.Agent(name="c", model=model, tools=[weather.tool()], model_settings=agents.ModelSettings(store=False))
        third = await agents.Runner.run(unstored, "weather in Rome", max_turns=4, auto_previous_response_id=True)
        same = socket is not None and socket is model._ws_connection
        await model.close()
        return first, second, third, same

    first, second, third, same = asyncio.run(main())
    assert weather.calls == ["weather in Oslo", "weather in Rome"] and first.final_output.startswith("The tools say: It is sunny (1).")
    for part in ('user: "weather in Oslo"', "calls get_weather", 'user: "and now?"'):
        assert second.final_output.count(part) == 1, second.final_output
    assert third.final_output.startswith("The tools say: It is sunny (2).") and third.final_output.count('user: "weather in Rome"') == 1
    assert same, "all turns were over one connection"


@pytest.mark.server
def test_compaction_session(base_url, model):
    """OpenAIResponsesCompactionSession compacts a chat by previous_response_id or by its items, and the next run goes on from what it keeps."""

    async def both():
        for mode in ("previous_response_id", "input"):
            await compacted(base_url, model, mode)

    asyncio.run(both())


async def compacted(base_url, model, mode):
    client = openai.AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0, timeout=30)
    store = agents.SQLiteSession("chat")
    session = OpenAIResponsesCompactionSession("chat", store, client=client, compaction_mode=mode, should_trigger_compaction=lambda _: False)
    session.model = MODEL  # its constructor takes names of OpenAI only
    weather = Weather([])

    await agents.Runner.run(agents.Agent(name="a", model=model, tools=[weather.tool()]), "weather in Oslo", max_turns=4, session=session)
    before = await store.get_items()
    await session.run_compaction({"force": True})
    after = await store.get_items()
    second = await agents.Runner.run(agents.Agent(name="b", model=model), "and now?", session=session)
    await session.run_compaction({"force": True})
    third = agents.Runner.run_streamed(agents.Agent(name="b", model=model), "and then?", session=session)
    async for _ in third.stream_events():
        pass
    assert len(before) == 4 and [item.get("type", "message") for item in after] == ["message", "compaction"]
    for run, text in ((second, "and now?"), (third, "and then?")):
        assert run.final_output.startswith("I received 2 messages."), run.final_output
        assert "Summary of the conversation so far" in run.final_output and "weather in Oslo" in run.final_output and f'2 user: "{text}"' in run.final_output
