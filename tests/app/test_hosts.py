"""Which names the page answers to, and which other pages may send requests to it."""

import asyncio
import platform

import pytest

starlette = pytest.importorskip("starlette.applications")
httpx = pytest.importorskip("httpx")

from starlette.responses import PlainTextResponse  # noqa: E402
from starlette.routing import Route  # noqa: E402

from crossask.app.hosts import known_hosts, refusal  # noqa: E402

BOUND_TO = "0.0.0.0"
NAMES = ("Sounds.example.org",)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:7860",
        "localhost:7860",
        "LOCALHOST",
        "192.168.1.5:7860",
        "[::1]:7860",
        "[2001:db8::1]",
        "sounds.example.org",
        f"{platform.node()}:80",
    ],
)
def test_the_page_answers_to_addresses_in_digits_and_to_known_names(host):
    assert refusal(host, None, BOUND_TO, NAMES) is None
    # A page sends its own origin.
    assert refusal(host, f"http://{host}", BOUND_TO, NAMES) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:7860",
        "sounds.example.org.evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "0x7f000001",
        "[::1",
        "",
        "evil.example@localhost:x]",
    ],
)
def test_the_page_does_not_answer_to_another_name(host):
    reason = refusal(host, None, BOUND_TO, NAMES)
    assert "--public_name=" in reason


@pytest.mark.parametrize(
    ("host", "origin", "is_refused"),
    [
        ("127.0.0.1:7860", "https://evil.example", True),
        ("127.0.0.1:7860", "http://192.168.1.9", True),
        ("127.0.0.1:7860", "null", True),
        ("127.0.0.1:7860", "http://[", True),
        # Another server of the same machine.
        ("localhost:7860", "http://localhost:3000", True),
        ("127.0.0.1:7860", "http://localhost:7860", True),
        ("localhost:7860", "http://localhost", True),
        ("localhost:7860", "http://LocalHost:7860", False),
        # A proxy, which sends its own host.
        ("127.0.0.1:7860", "https://sounds.example.org", False),
    ],
)
def test_the_page_takes_no_requests_from_pages_of_other_servers(host, origin, is_refused):
    assert (refusal(host, origin, BOUND_TO, NAMES) is not None) == is_refused


def test_a_refused_request_does_not_reach_the_page():
    reached = []

    def answer(request):
        reached.append(request.url.path)
        return PlainTextResponse("the page")

    page = starlette.Starlette(
        routes=[Route("/", answer)], middleware=[known_hosts(BOUND_TO, NAMES)]
    )

    async def ask(headers):
        transport = httpx.ASGITransport(page)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get("/", headers=headers)

    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
        refused = asyncio.run(ask(headers))
        assert refused.status_code == 403
        assert "evil.example" in refused.text
    assert reached == []
    assert asyncio.run(ask({})).text == "the page"
