"""pydantic-ai's OpenAIResponsesModel through the chain."""

import asyncio

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, ThinkingPart
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai import OpenAIProvider

from conftest import DOT, MODEL

thinking = OpenAIResponsesModelSettings(openai_reasoning_summary="detailed")


@pytest.fixture
def model(base_url):
    # Else only models whose names it knows get their thoughts back as such.
    profile = OpenAIModelProfile(openai_supports_encrypted_reasoning_content=True)
    return OpenAIResponsesModel(MODEL, provider=OpenAIProvider(base_url=base_url, api_key="unused"), profile=profile)


def test_answer(model):
    """Instructions and prompt reach the model; usage is counted."""
    result = Agent(model, instructions="Be kind.").run_sync("hello")
    assert '1 system: "Be kind."' in result.output and '2 user: "hello"' in result.output
    assert result.usage.output_tokens > 0


def test_tools(model):
    """A tool loop: the call, its result and the thought before it go back as one turn."""
    agent = Agent(model, model_settings=thinking)
    cities = []

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """The weather in a city."""
        cities.append(city)
        return "sunny"

    result = agent.run_sync("mock: reasoning=\"my plan\" call=get_weather\nOslo")
    assert cities == ["Oslo"] and result.output.startswith("The tools say: sunny")
    assistant = [line for line in result.output.splitlines() if " assistant:" in line]
    assert len(assistant) == 1 and "calls get_weather" in assistant[0] and 'reasoning="my plan"' in assistant[0]
    thoughts = [p.content for m in result.all_messages() for p in m.parts if isinstance(p, ThinkingPart)]
    assert thoughts == ["my plan"]


def test_stream(model):
    """A streamed run: text piece by piece, thoughts beside it."""

    async def main():
        async with Agent(model, model_settings=thinking).run_stream("mock: reasoning=\"my thought\" text=\"one two three\"\nhi") as result:
            pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
            return pieces, [p.content for m in result.all_messages() for p in m.parts if isinstance(p, ThinkingPart)]

    pieces, thoughts = asyncio.run(main())
    assert "".join(pieces) == "one two three" and len(pieces) > 1 and thoughts == ["my thought"]


def test_output_type(model):
    """An output type is a tool that the model must call."""

    class City(BaseModel):
        name: str
        people: int

    assert Agent(model, output_type=City).run_sync("Lima").output == City(name="Lima", people=1)


def test_image(model):
    """An image reaches the model."""
    result = Agent(model).run_sync(["look", BinaryContent(data=DOT, media_type="image/png")])
    assert "image_url image/png" in result.output


def test_history(model):
    """A second run continues the first by its messages."""
    agent = Agent(model)
    first = agent.run_sync("first question")
    lines = agent.run_sync("second question", message_history=first.all_messages()).output.splitlines()
    assert lines[1] == '1 user: "first question"' and lines[3] == '3 user: "second question"'


@pytest.mark.server
def test_previous_response(model):
    """openai_previous_response_id auto: the second run sends what is new, and the model sees all."""
    agent = Agent(model, model_settings=OpenAIResponsesModelSettings(openai_previous_response_id="auto"))

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return "sunny"

    first = agent.run_sync("mock: call=get_weather\nOslo")
    second = agent.run_sync("mock: echo\nand now?", message_history=first.all_messages())
    for part in ("Oslo", "calls get_weather", "sunny", "and now?"):
        assert part in second.output
