"""Haystack's OpenAIResponsesChatGenerator through the chain."""

import os

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

import pytest
from haystack.components.generators.chat import OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import create_tool_from_function
from haystack.utils import Secret

from conftest import MODEL


@pytest.fixture
def generator(base_url):
    def make(**how):
        return OpenAIResponsesChatGenerator(model=MODEL, api_base_url=base_url, api_key=Secret.from_token("unused"), **how)

    return make


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def test_answer(generator):
    """System and user messages reach the model."""
    reply = generator().run([ChatMessage.from_system("Be kind."), ChatMessage.from_user("hello")])["replies"][0]
    assert "Be kind." in reply.text and "hello" in reply.text


def test_stream(generator):
    """Streamed chunks add up to the answer."""
    chunks = []
    reply = generator(streaming_callback=lambda c: chunks.append(c.content)).run([ChatMessage.from_user("stream this")])["replies"][0]
    assert "".join(chunks) == reply.text and "stream this" in reply.text


def test_tools(generator):
    """A call and its result go back."""
    tool = create_tool_from_function(get_weather)
    component = generator(tools=[tool])
    messages = [ChatMessage.from_user("weather in Oslo")]
    reply = component.run(messages)["replies"][0]
    call = reply.tool_calls[0]
    assert call.arguments == {"city": "weather in Oslo"}
    messages += [reply, ChatMessage.from_tool(tool.invoke(**call.arguments), origin=call)]
    text = component.run(messages)["replies"][0].text
    assert text.startswith("The tools say: sunny in weather in Oslo") and "calls get_weather" in text
