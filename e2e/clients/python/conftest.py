"""Finds the chain under test in BASE_URL and reports each case to the file that E2E_RESULTS names (see ../report)."""

import base64
import json
import os

import pytest

MODEL = "/mnt/models"

# A PNG of one pixel.
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="session")
def base_url():
    """The chain's base URL as the clients want it, with /v1."""
    url = os.environ.get("BASE_URL")
    if not url:
        pytest.skip("BASE_URL is not set: run `make e2e-clients`, or `go run ./clients/run` from the folder e2e")
    return url.rstrip("/") + "/v1"


def pytest_configure(config):
    config.addinivalue_line("markers", "server: needs a tier that is the native server")
    config.addinivalue_line("markers", "websocket: needs the client's tier to be the native server")


def pytest_runtest_setup(item):
    if item.get_closest_marker("server") and os.environ.get("E2E_SERVER") == "0":
        pytest.skip("only a server tier can")
    if item.get_closest_marker("websocket") and os.environ.get("E2E_WEBSOCKET") == "0":
        pytest.skip("the client's tier speaks no WebSocket")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "teardown" or report.when == "setup" and report.passed:
        return
    path = os.environ.get("E2E_RESULTS")
    if not path:
        return
    result = {
        "case": item.originalname.removeprefix("test_").replace("_", "-"),
        "proves": " ".join((item.function.__doc__ or "").split()),
        "ok": not report.failed,
        "seconds": report.duration,
    }
    if report.skipped:
        result["skipped"] = report.longrepr[2].removeprefix("Skipped: ")
    elif report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        result["error"] = crash.message[:2000] if crash else str(report.longrepr)[:2000]
    with open(path, "a") as out:
        out.write(json.dumps(result) + "\n")
