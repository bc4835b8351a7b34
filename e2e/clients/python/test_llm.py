"""The llm command with a model whose configuration says `responses: true`, through the chain."""

import os
import subprocess
import sys

import pytest

from conftest import MODEL


@pytest.fixture(scope="module")
def llm(base_url, tmp_path_factory):
    home = tmp_path_factory.mktemp("llm")
    (home / "extra-openai-models.yaml").write_text(f"""- model_id: mock
  model_name: {MODEL}
  api_base: {base_url}
  responses: true
  supports_tools: true
  supports_schema: true
  vision: true
""")

    def run(*args):
        environment = {**os.environ, "LLM_USER_PATH": str(home), "OPENAI_API_KEY": "unused"}
        done = subprocess.run([sys.executable, "-m", "llm", *args, "-m", "mock"], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_prompt(llm):
    """System and prompt reach the model, streamed and whole."""
    for more in [(), ("--no-stream",)]:
        text = llm("hello", "-s", "Be kind.", *more)
        assert "Be kind." in text and '"hello"' in text


def test_tools(llm):
    """A function is called, and its result goes back."""
    text = llm("weather in Oslo", "--functions", 'def get_weather(city: str) -> str:\n    "The weather"\n    return "sunny"')
    assert "The tools say: sunny" in text and "calls get_weather" in text


def test_schema(llm):
    """An answer follows a schema."""
    assert llm("Ann", "--schema", "name, age int").replace(" ", "").strip() == '{"name":"Ann","age":1}'
