"""LangChain's ChatOpenAI with use_responses_api through the chain."""

import asyncio

import openai
import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from conftest import MODEL


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@pytest.fixture
def chat(base_url):
    def make(**how):
        return ChatOpenAI(model=MODEL, base_url=base_url, api_key="unused", use_responses_api=True, max_retries=0, timeout=30, **how)

    return make


def test_invoke(chat):
    """System and human messages and parameters reach the model; usage and id come back."""
    answer = chat(temperature=0.25).invoke([SystemMessage("Be kind."), HumanMessage("hello")])
    assert '1 system: "Be kind."' in answer.text and '2 user: "hello"' in answer.text and "temperature=0.25" in answer.text
    assert answer.usage_metadata["input_tokens"] > 0 and answer.response_metadata["status"] == "completed"
    assert answer.response_metadata["id"].startswith("resp_")


def test_stream(chat):
    """Chunks add up to the answer, with usage at the end (CLIProxyAPI#1681)."""
    chunks = list(chat().stream("stream this"))
    whole = sum(chunks[1:], chunks[0])
    assert len(chunks) > 5 and '1 user: "stream this"' in whole.text
    assert whole.usage_metadata["output_tokens"] > 0


def test_tools(chat):
    """bind_tools: call, tool message, answer; the AIMessage goes back verbatim."""
    bound = chat().bind_tools([get_weather])
    history = [HumanMessage("weather in Bonn")]
    answer = bound.invoke(history)
    assert [(c["name"], c["args"]) for c in answer.tool_calls] == [("get_weather", {"city": "weather in Bonn"})]
    history += [answer, get_weather.invoke(answer.tool_calls[0])]
    assert isinstance(history[-1], ToolMessage)
    text = bound.invoke(history).text
    assert text.startswith("The tools say: sunny in weather in Bonn") and "calls get_weather" in text
    assert len([line for line in text.splitlines() if " assistant:" in line]) == 1


def test_stream_tools(chat):
    """Streamed chunks of parallel calls merge into the calls, and go back as one assistant message (litellm#21154)."""
    bound = chat().bind_tools([get_weather])
    history = [HumanMessage("mock: call=get_weather calls=2 text=\"Let me look.\"\nweather")]
    chunks = list(bound.stream(history))
    whole = sum(chunks[1:], chunks[0])
    assert [c["args"] for c in whole.tool_calls] == [{"city": "weather"}] * 2 and whole.text == "Let me look."
    history += [whole] + [get_weather.invoke(c) for c in whole.tool_calls]
    text = bound.invoke(history).text
    assistant = [line for line in text.splitlines() if " assistant:" in line]
    assert len(assistant) == 1 and assistant[0].count("calls get_weather") == 2 and "Let me look." in assistant[0]


def test_structured_output(chat):
    """with_structured_output parses by json_schema and by function calling."""
    for method in ("json_schema", "function_calling"):
        assert chat().with_structured_output(Person, method=method).invoke("Zoe") == Person(name="Zoe", age=1), method
    assert chat().with_structured_output(None, method="json_mode").invoke("as JSON") == {"answer": "as JSON"}


def test_thoughts(chat):
    """Thoughts are shown and go back to the model in the next turn, whole and streamed (litellm#42005)."""
    model = chat(output_version="responses/v1", reasoning={"summary": "detailed"}, include=["reasoning.encrypted_content"])
    prompt = HumanMessage("mock: reasoning=\"my thought\" text=fine\nhi")

    def next_turn(answer):
        thoughts = [part["text"] for block in answer.content if block["type"] == "reasoning" for part in block["summary"]]
        assert thoughts == ["my thought"] and answer.text == "fine"
        text = model.invoke([prompt, answer, HumanMessage("and now?")]).text
        assistant = [line for line in text.splitlines() if " assistant:" in line]
        assert len(assistant) == 1 and '"fine"' in assistant[0] and 'reasoning="my thought"' in assistant[0], text

    next_turn(model.invoke([prompt]))
    chunks = list(model.stream([prompt]))
    next_turn(sum(chunks[1:], chunks[0]))


def test_async(chat):
    """Asynchronous streams at once, none mixed up."""

    async def one(n):
        return "".join([c.text async for c in chat().astream(f"number {n}")])

    async def main():
        return await asyncio.gather(*(one(n) for n in range(10)))

    for n, text in enumerate(asyncio.run(main())):
        assert f'"number {n}"' in text


def test_errors(chat):
    """Errors are the SDK's classes, with the parameter."""
    with pytest.raises(openai.BadRequestError) as e:
        chat(temperature=5).invoke("hi")
    assert e.value.param == "temperature"
    with pytest.raises(openai.RateLimitError):
        chat().invoke("mock: status=429\nhi")
    with pytest.raises(openai.APIError):
        list(chat().stream("mock: cut-after=5\nhello world"))


@pytest.mark.server
def test_previous_response(chat):
    """use_previous_response_id: the model sees every turn, a call and its result among them, though only the last is sent."""
    bound = chat(use_previous_response_id=True).bind_tools([get_weather])
    history = [HumanMessage("weather in Bonn")]
    answer = bound.invoke(history)
    history += [answer, get_weather.invoke(answer.tool_calls[0])]
    history.append(bound.invoke(history))
    history.append(HumanMessage("and now?"))
    text = chat(use_previous_response_id=True).invoke(history).text
    for part in ('user: "weather in Bonn"', "calls get_weather", "sunny in weather in Bonn", 'user: "and now?"'):
        assert text.count(part) >= 1, text
    assert text.count('user: "weather in Bonn"') == 1
