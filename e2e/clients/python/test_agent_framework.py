"""Microsoft Agent Framework's OpenAIChatClient, which speaks Responses, through the chain, with store=False as a gateway
without a store needs it, and on its defaults."""

import asyncio

import pytest
from agent_framework import Agent, Message, Content
from agent_framework.openai import OpenAIChatClient
from pydantic import BaseModel

from conftest import DOT, MODEL


@pytest.fixture
def agent(base_url):
    def make(**how):
        client = OpenAIChatClient(model=MODEL, base_url=base_url, api_key="unused")
        return Agent(client, default_options={"store": False, **how.pop("options", {})}, **how)

    return make


def test_answer(agent):
    """Instructions and prompt reach the model."""
    text = asyncio.run(agent(instructions="Be kind.").run("hello")).text
    assert "Be kind." in text and "hello" in text


def test_tools(agent):
    """A tool loop: the call and its result go back."""
    cities = []

    def get_weather(city: str) -> str:
        """The weather in a city."""
        cities.append(city)
        return "sunny"

    text = asyncio.run(agent(tools=[get_weather]).run("mock: reasoning=\"my plan\" call=get_weather\nOslo")).text
    assert cities == ["Oslo"] and "The tools say: sunny" in text and "calls get_weather" in text


def test_stream(agent):
    """A streamed run: updates add up to the answer."""

    async def main():
        stream = agent().run("mock: text=\"one two three\"\nhi", stream=True)
        updates = [update.text async for update in stream]
        return updates, (await stream.get_final_response()).text

    updates, text = asyncio.run(main())
    assert text == "one two three" and len(updates) > 3


def test_session(agent):
    """A session of two turns: the second has the first in its history."""

    async def main():
        a = agent()
        session = a.create_session()
        await a.run("first question", session=session)
        return (await a.run("second question", session=session)).text

    text = asyncio.run(main())
    assert "first question" in text and "second question" in text


def test_structured(agent):
    """A response format is followed and parsed."""

    class Person(BaseModel):
        name: str
        age: int

    assert asyncio.run(agent(options={"response_format": Person}).run("Ann")).value == Person(name="Ann", age=1)


def test_image(agent):
    """An image reaches the model."""
    message = Message(role="user", contents=[Content.from_text("look"), Content.from_data(data=DOT, media_type="image/png")])
    assert "image_url image/png" in asyncio.run(agent().run(message)).text


@pytest.mark.server
def test_defaults(base_url):
    """On its defaults, streamed: a session of two turns with a tool loop, continued by previous_response_id."""
    cities = []

    def get_weather(city: str) -> str:
        """The weather in a city."""
        cities.append(city)
        return "sunny"

    async def main():
        a = Agent(OpenAIChatClient(model=MODEL, base_url=base_url, api_key="unused"), tools=[get_weather])
        session = a.create_session()
        await a.run("mock: reasoning=\"my plan\" call=get_weather\nOslo", session=session)
        return "".join([piece.text async for piece in a.run("mock: echo\nand now?", session=session, stream=True)])

    text = asyncio.run(main())
    assert cities == ["Oslo"]
    for part in ("Oslo", "calls get_weather", "sunny", "and now?"):
        assert part in text
