"""Finds the chain under test in BASE_URL and reports each case to the file that E2E_RESULTS names (see ../report)."""

import json
import os

import pytest

MODEL = "/mnt/models"


@pytest.fixture(scope="session")
def base_url():
    """The chain's base URL as the clients want it, with /v1."""
    url = os.environ.get("BASE_URL")
    if not url:
        pytest.skip("BASE_URL is not set: run `make e2e-clients`, or `go run ./clients/run` from the folder e2e")
    return url.rstrip("/") + "/v1"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "teardown" or report.when == "setup" and report.passed or report.skipped:
        return
    path = os.environ.get("E2E_RESULTS")
    if not path:
        return
    result = {
        "case": item.originalname.removeprefix("test_").replace("_", "-"),
        "proves": " ".join((item.function.__doc__ or "").split()),
        "ok": report.passed,
        "seconds": report.duration,
    }
    if not report.passed:
        crash = getattr(report.longrepr, "reprcrash", None)
        result["error"] = crash.message[:2000] if crash else str(report.longrepr)[:2000]
    with open(path, "a") as out:
        out.write(json.dumps(result) + "\n")
