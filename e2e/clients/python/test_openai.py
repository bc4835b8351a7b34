"""The official openai package through the chain. The mock model answers with what it received, so a lost input shows."""

import asyncio
import base64
import hashlib
import json
import os
import time
import urllib.request

import openai
import pytest
from pydantic import BaseModel

from conftest import MODEL

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False},
    "strict": True,
}
TIME = {
    "type": "function",
    "name": "get_time",
    "parameters": {"type": "object", "properties": {"zone": {"enum": ["Europe/Paris"]}}, "required": ["zone"], "additionalProperties": False},
    "strict": True,
}


class Person(BaseModel):
    name: str
    age: int
    tags: list[str]


@pytest.fixture
def client(base_url):
    return openai.OpenAI(base_url=base_url, api_key="unused", max_retries=0, timeout=30)


def user(text):
    return {"role": "user", "content": text}


def test_create(client):
    """The prompt reaches the model, and every field of the answer has the type that the SDK declares."""
    r = client.responses.create(
        model=MODEL, instructions="You are terse.", input="Grüße 👋 \"quoted\"", temperature=0.5, top_p=0.9,
        max_output_tokens=400, metadata={"trace": "t1"}, safety_identifier="s1", prompt_cache_key="k1",
    )
    text = r.output_text
    assert '1 system: "You are terse."' in text
    assert '2 user: "Grüße 👋 \\"quoted\\""' in text
    assert "temperature=0.5" in text and "top_p=0.9" in text and "max_completion_tokens=400" in text
    assert (r.status, r.model, r.object, r.error, r.incomplete_details) == ("completed", MODEL, "response", None, None)
    assert (r.temperature, r.top_p, r.max_output_tokens, r.metadata) == (0.5, 0.9, 400, {"trace": "t1"})
    assert (r.instructions, r.safety_identifier, r.prompt_cache_key) == ("You are terse.", "s1", "k1")
    assert r.tools == [] and r.tool_choice == "auto" and r.parallel_tool_calls is True and r.truncation == "disabled"
    usage = r.usage
    assert usage.input_tokens > 0 and usage.output_tokens > 0
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert isinstance(usage.input_tokens_details.cached_tokens, int) and isinstance(usage.output_tokens_details.reasoning_tokens, int)
    # The SDK builds models without checking; this checks them.
    type(r).model_validate(r.model_dump(exclude_none=False))


def test_system_messages(client):
    """Instructions, developer and system messages arrive as one leading system message, which strict chat templates
    demand (vllm#41114, litellm#39852)."""
    r = client.responses.create(model=MODEL, instructions="one", input=[
        {"role": "developer", "content": "two"}, {"role": "system", "content": [{"type": "input_text", "text": "three"}]}, user("hi")])
    first = r.output_text.splitlines()[1]
    assert first.startswith("1 system:") and all(w in first for w in ("one", "two", "three"))
    assert "\n2 user:" in r.output_text and "\n3 " not in r.output_text


def test_stream(client):
    """A stream has its lifecycle in order, and its pieces, its done events and its final response say the same
    (openai/codex#41340, litellm#36375)."""
    events = list(client.responses.create(model=MODEL, input="stream me", stream=True))
    types = [e.type for e in events]
    assert types[:2] == ["response.created", "response.in_progress"] and types[-1] == "response.completed"
    assert types.count("response.completed") == 1
    assert [e.sequence_number for e in events] == list(range(len(events)))
    deltas = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert types.count("response.output_text.delta") > 5
    done = next(e for e in events if e.type == "response.output_text.done")
    final = events[-1].response
    assert '"stream me"' in deltas and deltas == done.text == final.output_text
    items = [e.item for e in events if e.type == "response.output_item.done"]
    assert [i.model_dump() for i in items] == [i.model_dump() for i in final.output]
    assert {e.item_id for e in events if e.type == "response.output_text.delta"} == {final.output[0].id}
    assert final.id == events[0].response.id


def test_stream_usage(client):
    """A stream's final response has the usage, although upstream sends it after the finish (CLIProxyAPI#1681)."""
    with client.responses.stream(model=MODEL, input="count me") as stream:
        final = stream.get_final_response()
    assert final.usage.input_tokens > 0 and final.usage.output_tokens > 5
    assert final.usage.total_tokens == final.usage.input_tokens + final.usage.output_tokens


def test_stream_accumulates(client):
    """The SDK's stream() accumulates events to the same response that it reads at the end (vllm#45742)."""
    text = ""
    with client.responses.stream(model=MODEL, input="mock: reasoning=\"let me see\"\nhello") as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                text += event.delta
                assert event.snapshot == text
        final = stream.get_final_response()
    assert final.output_text == text and '"mock' in text
    assert [i.type for i in final.output] == ["reasoning", "message"]
    assert final.output[0].content[0].text == "let me see"


def test_parse(client):
    """A pydantic model as text_format reaches the model as a strict schema, and the answer is parsed into it."""
    r = client.responses.parse(model=MODEL, input="Ann", text_format=Person)
    assert r.output_parsed == Person(name="Ann", age=1, tags=["Ann"])
    assert r.text.format.type == "json_schema" and r.text.format.name == "Person" and r.text.format.strict is True


def test_stream_parse(client):
    """Structured output streams as text and is parsed at the end."""
    with client.responses.stream(model=MODEL, input="Bob", text_format=Person) as stream:
        deltas = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert final.output_parsed == Person(name="Bob", age=1, tags=["Bob"])
    assert json.loads(deltas)["name"] == "Bob"


def test_json_object(client):
    """text.format json_object reaches the model."""
    r = client.responses.create(model=MODEL, input="as json", text={"format": {"type": "json_object"}})
    assert json.loads(r.output_text) == {"answer": "as json"}


def test_tools(client):
    """A tool is called, its result goes back with the output items verbatim, and the model sees call and result."""
    history = [user("weather in Oslo?")]
    r = client.responses.create(model=MODEL, input=history, tools=[WEATHER])
    call = next(i for i in r.output if i.type == "function_call")
    assert call.name == "get_weather" and json.loads(call.arguments) == {"city": "weather in Oslo?"}
    assert r.tools[0].model_dump()["parameters"] == WEATHER["parameters"]
    history += r.output
    history.append({"type": "function_call_output", "call_id": call.call_id, "output": "9 degrees"})
    r = client.responses.create(model=MODEL, input=history, tools=[WEATHER])
    assert r.output_text.startswith("The tools say: 9 degrees")
    assert "calls get_weather id=" + json.dumps(call.call_id) in r.output_text
    assert f'tool_call_id={json.dumps(call.call_id)}' in r.output_text


def test_tool_choice(client):
    """tool_choice required, a named function and none reach the model and are echoed (litellm#17246)."""
    r = client.responses.create(model=MODEL, input="x", tools=[WEATHER, TIME], tool_choice="required")
    assert [i.name for i in r.output] == ["get_weather", "get_time"] and r.tool_choice == "required"
    r = client.responses.create(model=MODEL, input="x", tools=[WEATHER, TIME], tool_choice={"type": "function", "name": "get_time"})
    assert [i.name for i in r.output if i.type == "function_call"] == ["get_time"]
    assert r.tool_choice.name == "get_time" and r.status == "completed"
    r = client.responses.create(model=MODEL, input="the weather", tools=[WEATHER], tool_choice="none")
    assert [i.type for i in r.output] == ["message"]
    r = client.responses.create(model=MODEL, input="weather and time", tools=[WEATHER, TIME], tool_choice={
        "type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "get_time"}]})
    assert [i.name for i in r.output if i.type == "function_call"] == ["get_time"]


def test_parallel_tools(client):
    """Two calls of one turn go back as one assistant message with both, before both results (litellm#21154, vllm#37299)."""
    history = [user("weather and time?")]
    r = client.responses.create(model=MODEL, input=history, tools=[WEATHER, TIME])
    calls = [i for i in r.output if i.type == "function_call"]
    assert [c.name for c in calls] == ["get_weather", "get_time"] and calls[0].call_id != calls[1].call_id
    history += [i.model_dump() for i in r.output]
    history += [{"type": "function_call_output", "call_id": c.call_id, "output": f"result {n}"} for n, c in enumerate(calls, 1)]
    text = client.responses.create(model=MODEL, input=history, tools=[WEATHER, TIME]).output_text
    assert text.startswith("The tools say: result 1; result 2")
    assistant = [line for line in text.splitlines() if " assistant:" in line]
    assert len(assistant) == 1 and "calls get_weather" in assistant[0] and "calls get_time" in assistant[0]


def test_stream_text_and_tools(client):
    """Reasoning, text and several calls of one stream are items one after another, and none is lost (litellm#17246, #19368)."""
    with client.responses.stream(model=MODEL, tools=[WEATHER, TIME], input=(
            "mock: reasoning=\"think first\" text=\"I look it up.\" call=get_weather interleave=1 calls=2\nweather")) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [i.type for i in final.output] == ["reasoning", "message", "function_call", "function_call"]
    assert final.output_text == "I look it up."
    for i, item in enumerate(final.output):
        mine = [e for e in events if getattr(e, "output_index", None) == i]
        assert mine[0].type == "response.output_item.added" and mine[-1].type == "response.output_item.done"
        assert mine[-1].item.id == item.id == mine[0].item.id
    for i in (2, 3):
        arguments = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta" and e.output_index == i)
        assert arguments == final.output[i].arguments and json.loads(arguments)


def test_reasoning_kept(client):
    """Reasoning of one turn is on the assistant message of the next (gpt-load#666, litellm#42005)."""
    history = [user("mock: reasoning=\"secret plan\" call=get_weather\nweather")]
    r = client.responses.create(model=MODEL, input=history, tools=[WEATHER], reasoning={"effort": "high"})
    assert [i.type for i in r.output] == ["reasoning", "function_call"]
    assert r.output[0].content[0].text == "secret plan" and r.reasoning.effort == "high"
    history += r.output
    history.append({"type": "function_call_output", "call_id": r.output[1].call_id, "output": "ok"})
    text = client.responses.create(model=MODEL, input=history, tools=[WEATHER]).output_text
    assistant = [line for line in text.splitlines() if " assistant:" in line]
    assert len(assistant) == 1 and 'reasoning="secret plan"' in assistant[0] and "calls get_weather" in assistant[0]


def test_reasoning_content(client):
    """Thought that upstream sends as reasoning_content is not lost, whole or streamed (vllm#27755, litellm#20246)."""
    prompt = "mock: reasoning=\"old name\" reasoning-field=reasoning_content\nhi"
    r = client.responses.create(model=MODEL, input=prompt)
    assert r.output[0].content[0].text == "old name"
    events = list(client.responses.create(model=MODEL, input=prompt, stream=True))
    assert "".join(e.delta for e in events if e.type == "response.reasoning_text.delta") == "old name"
    assert events[-1].response.output[0].content[0].text == "old name"


def test_logprobs(client):
    """include message.output_text.logprobs gives logprobs, whole and streamed."""
    ask = dict(model=MODEL, input="hi", include=["message.output_text.logprobs"], top_logprobs=2)
    r = client.responses.create(**ask)
    part = r.output[0].content[0]
    assert "".join(t.token for t in part.logprobs).startswith("I received") and len(part.logprobs[0].top_logprobs) == 2
    assert part.logprobs[0].logprob <= 0
    final = list(client.responses.create(**ask, stream=True))[-1].response
    assert "".join(t.token for t in final.output[0].content[0].logprobs).startswith("I received")


def test_incomplete(client):
    """An answer cut by max_output_tokens is incomplete, whole and streamed, never completed (litellm#37710)."""
    ask = dict(model=MODEL, input="a long echo of this request please", max_output_tokens=16)
    r = client.responses.create(**ask)
    assert (r.status, r.incomplete_details.reason, r.output[-1].status) == ("incomplete", "max_output_tokens", "incomplete")
    assert r.usage.output_tokens == 16
    events = list(client.responses.create(**ask, stream=True))
    assert events[-1].type == "response.incomplete" and "response.completed" not in [e.type for e in events]
    assert events[-1].response.incomplete_details.reason == "max_output_tokens"
    r = client.responses.create(model=MODEL, input="mock: finish=content_filter\nhi")
    assert (r.status, r.incomplete_details.reason) == ("incomplete", "content_filter")


def test_refusal(client):
    """A refusal is a refusal part, whole and streamed."""
    prompt = "mock: refusal=\"I must not.\"\nhi"
    r = client.responses.create(model=MODEL, input=prompt)
    assert [(p.type, p.refusal) for p in r.output[0].content] == [("refusal", "I must not.")]
    events = list(client.responses.create(model=MODEL, input=prompt, stream=True))
    assert "".join(e.delta for e in events if e.type == "response.refusal.delta") == "I must not."
    assert events[-1].response.output[0].content[0].refusal == "I must not."


def test_images(client):
    """Image parts reach the model with every byte and their detail, in a message and in a tool's result (litellm#28233)."""
    png = "data:image/png;base64," + base64.b64encode(b"not really a picture" * 9).decode()
    seen = f"image/png {len(png)} bytes sha256:{hashlib.sha256(png.encode()).hexdigest()[:16]}"
    picture = {"type": "input_image", "image_url": png, "detail": "low"}
    r = client.responses.create(model=MODEL, input=[{"role": "user", "content": [{"type": "input_text", "text": "what is this?"}, picture]}])
    assert f'1 user: [text "what is this?"] [image_url {seen} detail="low"]' in r.output_text
    r = client.responses.create(model=MODEL, tools=[WEATHER], input=[
        user("look"), {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "a picture:"}, picture]}])
    assert "a picture:" in r.output_text and seen in r.output_text


def test_error_parameters(client):
    """A wrong request is a BadRequestError that names the parameter, before anything is sent upstream."""
    for ask, param in (
        (dict(temperature=3), "temperature"),
        (dict(max_output_tokens=1), "max_output_tokens"),
        (dict(background=True, store=False), ("background", "store")),  # without a store, and with one
        (dict(tools=[{"type": "web_search"}]), "tools[0].type"),
        (dict(tools=[WEATHER], tool_choice={"type": "function", "name": "nope"}), "tool_choice"),
        (dict(input=[{"type": "nonsense"}]), "input[0].type"),
        (dict(input=[{"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]}]), "input[0].content[0]"),
        (dict(extra_body={"guided_json": {}}), "guided_json"),
    ):
        with pytest.raises(openai.BadRequestError) as e:
            client.responses.create(**{"model": MODEL, "input": "hi", **ask})
        assert e.value.type == "invalid_request_error" and (e.value.param or "").startswith(param), (ask, e.value.body)


def test_error_classes(client):
    """Upstream's errors arrive as the SDK's classes, with code, message and Retry-After, and without upstream's address."""
    upstream = os.environ.get("UPSTREAM_URL", "").removeprefix("http://")
    for prompt, kind, status, code in (
        ("mock: status=429 retry-after=7\nhi", openai.RateLimitError, 429, None),
        ("mock: status=503 retry-after=1\nhi", openai.InternalServerError, 503, None),
        ("mock: status=500\nhi", openai.InternalServerError, 500, None),
        ("mock: status=500 error-body=html\nhi", openai.InternalServerError, 500, None),
        ("mock: status=403\nhi", openai.PermissionDeniedError, 403, None),
        ("mock: status=401\nhi", openai.AuthenticationError, 401, None),
        ("mock: status=422 error-body=flat\nhi", openai.UnprocessableEntityError, 422, None),
    ):
        for stream in (False, True):
            with pytest.raises(kind) as e:
                client.responses.create(model=MODEL, input=prompt, stream=stream)
            assert e.value.status_code == status and isinstance(e.value.body, dict), (prompt, e.value.body)
            assert set(e.value.body) == {"message", "type", "param", "code"} and e.value.body["message"], (prompt, e.value.body)
            assert not upstream or upstream not in json.dumps(e.value.body)
            if "retry-after" in prompt:
                assert e.value.response.headers["retry-after"] == prompt.split("retry-after=")[1][0]
    with pytest.raises(openai.NotFoundError) as e:
        client.responses.create(model="no-such-model", input="hi")
    assert e.value.code == "model_not_found" and "no-such-model" in e.value.message


def test_context_length(client):
    """A prompt that is too long has the code on which agents compact their history, whole and streamed."""
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as e:
            client.responses.create(model=MODEL, input="a " * 2**20, stream=stream)
        assert e.value.code == "context_length_exceeded", e.value.body


def test_previous_response(client):
    """previous_response_id without state is a clear error, not a forgotten history (litellm#37956)."""
    with pytest.raises(openai.APIStatusError) as e:
        client.responses.create(model=MODEL, input="hi", previous_response_id="resp_unknown")
    assert e.value.code == "previous_response_not_found" and e.value.status_code == 400


def test_stream_cut(client):
    """A stream that upstream cuts fails: an exception, never a completed response (codex-lb#1833)."""
    for fault in ("cut-after=6", "end-after=6", "garbage-after=6", "error-after=6"):
        seen = []
        with pytest.raises(openai.APIError):
            for event in client.responses.create(model=MODEL, input=f"mock: {fault}\nhello there", stream=True):
                seen.append(event.type)
        assert "response.output_text.delta" in seen and "response.completed" not in seen, (fault, seen)


@pytest.mark.server
def test_stream_first_error(client):
    """An error that upstream sends as the first event of a 200 is a real status (clawrouter#101)."""
    with pytest.raises(openai.APIStatusError) as e:
        client.responses.create(model=MODEL, input="mock: error-after=0\nhi", stream=True)
    assert e.value.status_code >= 400


def test_stream_odd_bytes(client):
    """Events split at every byte, CRLF ends, comments and no space after data: change nothing (higress#4616, kong#12903)."""
    plain = client.responses.create(model=MODEL, input="mock: text=\"naïve 👋 text\"\nhi").output_text
    assert plain == "naïve 👋 text"
    for form in ("chunk=bytes", "eol=crlf", "eol=cr", "comments=1 no-space=1", "no-done=1", "burst=50"):
        events = list(client.responses.create(model=MODEL, input=f"mock: text=\"naïve 👋 text\" {form}\nhi", stream=True))
        assert events[-1].type == "response.completed" and events[-1].response.output_text == plain, form


def test_stream_as_it_comes(client):
    """Deltas arrive while upstream still writes (kong#12680, semantic-router#1082)."""
    times = []
    for event in client.responses.create(model=MODEL, input="mock: text=\"a b c d e f\" delay=100ms\nhi", stream=True):
        if event.type == "response.output_text.delta":
            times.append(time.monotonic())
    assert len(times) == 6 and times[-1] - times[0] > 0.3, times


@pytest.mark.server
def test_stream_silence(client):
    """While the model thinks in silence, the stream is open and kept alive, and nothing of it reaches the application
    (litellm#34821, bifrost#5010). The chain's interval is 3 s."""
    start = time.monotonic()
    events, created = [], None
    for event in client.responses.create(model=MODEL, input="mock: text=\"a b\" first-delay=4500ms\nhi", stream=True):
        created = created or time.monotonic() - start
        events.append(event)
    assert 2.9 < created < 4.3, created
    assert events[-1].type == "response.completed" and events[-1].response.output_text == "a b"
    assert [e.sequence_number for e in events] == list(range(len(events)))


def test_large_prompt(client):
    """A prompt of 4 MiB passes whole (ai-gateway#827, higress#4267)."""
    text = "word " * (4 * 1024 * 1024 // 5)
    r = client.responses.create(model=MODEL, input="mock: text=ok\n" + text)
    assert r.output_text == "ok" and r.usage.input_tokens > 800_000


def test_models(client):
    """GET /v1/models lists upstream's models."""
    assert [m.id for m in client.models.list()] == [MODEL]


def test_other_endpoints(client):
    """What needs stored responses is a typed 404, not an HTML page or a hang (copilot-api#359)."""
    calls = [
        lambda: client.responses.retrieve("resp_1"),
        lambda: client.responses.retrieve("resp_1", stream=True),
        lambda: client.responses.delete("resp_1"),
        lambda: client.responses.cancel("resp_1"),
        lambda: client.responses.input_items.list("resp_1"),
        lambda: client.chat.completions.create(model=MODEL, messages=[user("hi")]),
        lambda: client.embeddings.create(model=MODEL, input="hi"),
    ]
    if os.environ.get("E2E_SERVER") == "0":  # the filter sums nothing up
        calls.append(lambda: client.responses.compact(model=MODEL, input="hi"))
    for call in calls:
        with pytest.raises(openai.NotFoundError) as e:
            call()
        assert set(e.value.body) == {"message", "type", "param", "code"} and e.value.type == "not_found_error", e.value.body


@pytest.mark.server
def test_compact(client):
    """responses.compact(): the window that it gives goes on where the conversation was."""
    window = client.responses.compact(model=MODEL, input=[user("My name is Ada."), user("Remember it.")])
    assert [item.type for item in window.output].count("compaction") == 1 and window.output[-1].type == "compaction"
    items = [item.model_dump(exclude_none=True) for item in window.output]
    r = client.responses.create(model=MODEL, input=[*items, user("Who am I?")])
    assert r.status == "completed" and "Ada" in r.output_text and "Who am I?" in r.output_text, r.output_text


def test_count(client):
    """responses.input_tokens.count() says what a request will take, as its usage does."""
    question = {"model": MODEL, "input": [user("What is the weather in Oslo?")], "instructions": "Be brief.", "tools": [WEATHER]}
    counted = client.responses.input_tokens.count(**question)
    assert counted.object == "response.input_tokens"
    assert counted.input_tokens == client.responses.create(**question).usage.input_tokens


def test_request_id(client):
    """Every answer, an error too, has the request's id: the client's own or a new one."""
    own = client.responses.create(model=MODEL, input="hi", extra_headers={"X-Request-Id": "trace-123"})
    assert own._request_id == "trace-123"
    one, two = (client.responses.create(model=MODEL, input="hi")._request_id for _ in range(2))
    assert one and two and one != two
    with pytest.raises(openai.BadRequestError) as e:
        client.responses.create(model=MODEL, input="hi", temperature=3)
    assert e.value.request_id


def test_store(client):
    """store is accepted, does not reach the model, and the answer says whether it was stored."""
    r = client.responses.create(model=MODEL, input="hi", store=True)
    assert r.store is (os.environ.get("E2E_SERVER") != "0") and "store=" not in r.output_text
    assert client.responses.create(model=MODEL, input="hi", store=False).store is False


@pytest.mark.server
def test_continue(client):
    """previous_response_id, whole and streamed: the model sees every turn, a call among them, each once and in order."""
    first = client.responses.create(model=MODEL, input="weather in Oslo", tools=[WEATHER])
    (call,) = (item for item in first.output if item.type == "function_call")
    second = client.responses.create(model=MODEL, previous_response_id=first.id, tools=[WEATHER],
                                     input=[{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}])
    assert second.previous_response_id == first.id
    with client.responses.stream(model=MODEL, previous_response_id=second.id, input="and now?") as stream:
        text = stream.get_final_response().output_text
    places = [text.index(part) for part in ('user: "weather in Oslo"', "calls get_weather", "sunny", 'user: "and now?"')]
    assert places == sorted(places) and text.count("weather in Oslo") >= 1


@pytest.mark.server
def test_retrieve(client):
    """What was answered can be read again, its input page by page, and deleted."""
    made = client.responses.create(model=MODEL, input=[user(f"number {n}") for n in range(45)])
    assert client.responses.retrieve(made.id).to_dict() == made.to_dict()
    for order in ("asc", "desc"):
        items = list(client.responses.input_items.list(made.id, order=order))
        numbers = [int(item.content[0].text.split()[1]) if not isinstance(item.content, str) else int(item.content.split()[1]) for item in items]
        assert numbers == (list(range(45)) if order == "asc" else list(reversed(range(45))))
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as e:
        client.responses.create(model=MODEL, input="and now?", previous_response_id=made.id)
    assert e.value.code == "previous_response_not_found"


@pytest.mark.websocket
def test_websocket(client):
    """responses.connect(): turns over one WebSocket that go on from what is not stored; a call, an error, a second connection that does not know it."""
    with client.responses.connect() as connection:
        def turn(**request):
            connection.response.create(model=MODEL, store=False, **request)
            for event in connection:
                if event.type == "error" or event.type == "response.completed":
                    return event

        first = turn(input="weather in Oslo", tools=[WEATHER]).response
        (call,) = (item for item in first.output if item.type == "function_call")
        second = turn(previous_response_id=first.id, tools=[WEATHER], input=[{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]).response
        text = turn(previous_response_id=second.id, input="and now?").response.output_text
        places = [text.index(part) for part in ('user: "weather in Oslo"', "calls get_weather", "sunny", 'user: "and now?"')]
        assert places == sorted(places)
        wrong = turn(input="hi", temperature=3)
        assert (wrong.status, wrong.error.param) == (400, "temperature")
        ready = turn(input="the prompt", generate=False).response
        assert ready.output == []
        assert 'user: "the prompt"' in turn(previous_response_id=ready.id, input="go").response.output_text
    with client.responses.connect() as connection:
        unknown = turn(previous_response_id=ready.id, input="go")
        assert (unknown.status, unknown.error.code) == (400, "previous_response_not_found")


@pytest.mark.server
def test_background(client):
    """A response in the background is accepted at once, polled, streamed again from any event, and cancelled."""
    made = client.responses.create(model=MODEL, input="mock: tokens=5 delay=10ms", background=True)
    assert made.status == "queued" and made.background is True
    while made.status in ("queued", "in_progress"):
        time.sleep(0.05)
        made = client.responses.retrieve(made.id)
    assert made.status == "completed" and made.output_text
    events = list(client.responses.create(model=MODEL, input="mock: tokens=5 delay=10ms", background=True, stream=True))
    assert events[-1].type == "response.completed"
    for after in range(len(events)):
        again = list(client.responses.retrieve(events[0].response.id, stream=True, starting_after=after))
        assert again == events[after + 1 :]
    long = client.responses.create(model=MODEL, input="mock: tokens=1000 delay=50ms", background=True)
    assert client.responses.cancel(long.id).status == "cancelled"
    assert client.responses.cancel(long.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(client.responses.create(model=MODEL, input="hi").id)


@pytest.mark.server
def test_conversations(client):
    """A conversation is made, read, changed and deleted; its items page by page; responses on it, whole and streamed, see it and become a part of it."""
    made = client.conversations.create(items=[{"type": "message", **user("number 0")}], metadata={"topic": "demo"})
    assert made.object == "conversation" and made.metadata == {"topic": "demo"} and client.conversations.retrieve(made.id) == made
    for first in range(1, 45, 11):
        added = client.conversations.items.create(made.id, items=[{"type": "message", **user(f"number {n}")} for n in range(first, first + 11)])
        assert len(added.data) == 11 and not added.has_more
    for order in ("asc", "desc"):
        numbers = [int(item.content[0].text.split()[1]) for item in client.conversations.items.list(made.id, order=order, limit=7)]
        assert numbers == (list(range(45)) if order == "asc" else list(reversed(range(45))))
    one = added.data[0]
    assert client.conversations.items.retrieve(one.id, conversation_id=made.id) == one
    assert client.conversations.items.delete(one.id, conversation_id=made.id) == made
    assert client.conversations.update(made.id, metadata={"a": "b"}).metadata == {"a": "b"}

    chat = client.conversations.create()
    first = client.responses.create(model=MODEL, input="weather in Oslo", tools=[WEATHER], conversation=chat.id)
    assert first.conversation.id == chat.id
    (call,) = (item for item in first.output if item.type == "function_call")
    with client.responses.stream(model=MODEL, conversation={"id": chat.id}, tools=[WEATHER],
                                 input=[{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]) as stream:
        final = stream.get_final_response()
    assert final.conversation.id == chat.id and 'user: "weather in Oslo"' in final.output_text and "calls get_weather" in final.output_text
    kinds = [item.type for item in client.conversations.items.list(chat.id, order="asc")]
    assert kinds == ["message", "function_call", "function_call_output", "message"]
    for bad in ({"previous_response_id": first.id}, {"conversation": chat.id, "previous_response_id": first.id}):
        with pytest.raises(openai.BadRequestError):
            client.responses.create(model=MODEL, input="hi", **bad)
    gone = client.conversations.delete(chat.id)
    assert gone.deleted and gone.object == "conversation.deleted" and gone.id == chat.id
    with pytest.raises(openai.NotFoundError) as e:
        client.conversations.items.list(chat.id)
    assert e.value.code == "conversation_not_found"


def test_async(base_url):
    """The asynchronous client: many streams at once, each with its own prompt, none mixed up."""
    async def one(client, n):
        text = ""
        async with client.responses.stream(model=MODEL, input=f"number {n}") as stream:
            async for event in stream:
                if event.type == "response.output_text.delta":
                    text += event.delta
        assert f'"number {n}"' in text

    async def main():
        async with openai.AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0, timeout=30) as client:
            await asyncio.gather(*(one(client, n) for n in range(20)))
            r = await client.responses.parse(model=MODEL, input="Eve", text_format=Person)
            assert r.output_parsed.name == "Eve"

    asyncio.run(main())


def test_client_gone(client):
    """A client that leaves ends the generation upstream (litellm#37140, vllm#54947)."""
    upstream = os.environ.get("UPSTREAM_URL")
    if not upstream:
        pytest.skip("UPSTREAM_URL of mock-llm is not set")

    def stats(query=""):
        with urllib.request.urlopen(f"{upstream}/mock/stats{query}") as answer:
            return json.load(answer)

    before = stats()["aborted"]
    stream = client.responses.create(model=MODEL, input="mock: tokens=100000 delay=5ms\nhi", stream=True)
    for event in stream:
        if event.type == "response.output_text.delta":
            break
    stream.close()
    after = stats(f"?aborted={before + 1}&idle=1&wait=5s")
    assert after["aborted"] == before + 1 and after["active"] == 0
