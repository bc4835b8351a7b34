"""LlamaIndex's OpenAIResponses through the chain."""

import asyncio

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage, ImageBlock, MessageRole, TextBlock
from llama_index.llms.openai import OpenAIResponses
from pydantic import BaseModel

from conftest import DOT, MODEL


@pytest.fixture
def llm(base_url):
    def make(**how):
        return OpenAIResponses(model=MODEL, api_base=base_url, api_key="unused", context_window=100_000, max_retries=0, **how)

    return make


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def test_chat(llm):
    """System and user messages reach the model."""
    answer = llm().chat([ChatMessage(role="system", content="Be kind."), ChatMessage(role="user", content="hello")])
    text = answer.message.content
    assert "Be kind." in text and '"hello"' in text


def test_stream(llm):
    """Streamed deltas add up to the answer."""
    chunks = list(llm().stream_chat([ChatMessage(role="user", content="stream this")]))
    assert "".join(c.delta or "" for c in chunks) == chunks[-1].message.content
    assert '"stream this"' in chunks[-1].message.content


def test_tools(llm):
    """A function agent calls its tool and reads the result."""

    async def main():
        agent = FunctionAgent(llm=llm(), tools=[get_weather])
        return str(await agent.run("weather in Oslo"))

    text = asyncio.run(main())
    assert text.startswith("The tools say: sunny in weather in Oslo") and "calls get_weather" in text


def test_structured(llm):
    """A structured answer is parsed."""

    class Person(BaseModel):
        """A person."""

        name: str
        age: int

    answer = llm().as_structured_llm(Person).chat([ChatMessage(role="user", content="Ann")])
    assert answer.raw == Person(name="Ann", age=1)


def test_image(llm):
    """An image reaches the model."""
    message = ChatMessage(role=MessageRole.USER, blocks=[TextBlock(text="look"), ImageBlock(image=DOT, image_mimetype="image/png")])
    assert "image_url image/png" in llm().chat([message]).message.content


@pytest.mark.server
def test_previous_response(llm):
    """track_previous_responses: the second turn has the first in its history."""
    model = llm(track_previous_responses=True)
    model.chat([ChatMessage(role="user", content="first question")])
    text = model.chat([ChatMessage(role="user", content="second question")]).message.content
    assert "first question" in text and "second question" in text
