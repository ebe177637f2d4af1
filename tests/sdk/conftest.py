"""The official Python SDK, unmodified, against a real `offhook dev` process.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    OFFHOOK_BIN=/path/to/offhook venv/bin/pytest

One process serves the whole run: on SQLite in a temporary directory, or on the empty database that DATABASE_URL names.
Every test runs twice, with the sync and with the async client, and makes its own agents, numbers and handsets; it gives
its numbers back, because an account may hold only ten.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Any

import pytest
from agentphone import AgentPhoneError

from harness.bucket import Bucket
from harness.clients import connect as connect_client
from harness.handset import Handset
from harness.mailbox import Mailbox
from harness.pictures import Pictures
from harness.receiver import Receiver
from harness.server import OffhookProcess

LOG_START = pytest.StashKey[tuple[OffhookProcess, int]]()


@pytest.fixture(scope="session")
def mailbox():
    """Where the server's mail goes."""
    opened = Mailbox()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def bucket():
    """Where the server keeps files."""
    opened = Bucket()
    yield opened
    opened.close()


@pytest.fixture
def pictures():
    """Where somebody else has theirs."""
    opened = Pictures()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, mailbox: Mailbox, bucket: Bucket):
    binary = os.environ.get("OFFHOOK_BIN")
    if not binary:
        pytest.exit("OFFHOOK_BIN must name the offhook binary", returncode=2)
    settings = {"OFFHOOK__MAIL__SMTP_URL": mailbox.url, **bucket.settings}
    process = OffhookProcess(os.path.abspath(binary), tmp_path_factory.mktemp("offhook"), settings)
    try:
        process.wait_until_ready()
        yield process
        process.stop()
    finally:
        process.kill()


@pytest.fixture(params=["sync", "async"])
async def connect(request, server):
    """Opens a client with some API key; the account's own unless another is given."""
    opened = []

    def open_client(api_key: str = server.api_key) -> Any:
        client = connect_client(request.param, api_key, server.base_url)
        opened.append(client)
        return client

    yield open_client
    for client in opened:
        await client.close()


@pytest.fixture
def client(connect):
    return connect()


@pytest.fixture
async def create_agent(client):
    created = []

    async def create(**wishes: Any):
        agent = await client.agents.create(**wishes)
        created.append(agent.id)
        return agent

    yield create
    for agent_id in created:
        with unless_gone():
            await client.agents.delete(agent_id)


@pytest.fixture
async def buy_number(client):
    bought = []

    async def buy(**wishes: Any):
        number = await client.numbers.buy(**wishes)
        bought.append(number.id)
        return number

    yield buy
    for number_id in bought:
        with unless_gone():
            await client.numbers.release(number_id)


@pytest.fixture
async def agent(create_agent):
    return await create_agent(name="Booking desk")


@pytest.fixture
async def number(buy_number, agent):
    """The agent's number."""
    return await buy_number(agent_id=agent.id)


@pytest.fixture
def new_handset(server):
    return lambda: Handset(server.base_url)


@pytest.fixture
def handset(new_handset):
    return new_handset()


@pytest.fixture
def new_receiver():
    opened = []

    def open_receiver() -> Receiver:
        opened.append(Receiver())
        return opened[-1]

    yield open_receiver
    for receiver in opened:
        receiver.close()


@pytest.fixture
def receiver(new_receiver):
    return new_receiver()


@pytest.fixture
async def no_account_webhook(client):
    """The account has one webhook at most: whoever sets it leaves none behind."""
    yield
    if await client.webhooks.get():
        await client.webhooks.delete()


@pytest.fixture
async def account_webhook(client, receiver, no_account_webhook):
    """The account's webhook, at the receiver."""
    return await client.webhooks.set(url=receiver.url)


@contextmanager
def unless_gone():
    """Cleaning up after a story that has already released or deleted what it made."""
    try:
        yield
    except AgentPhoneError as error:
        if error.status not in (400, 404):
            raise


@pytest.fixture(autouse=True)
def remember_where_the_log_is(request, server):
    request.node.stash[LOG_START] = (server, server.log_size())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what the server logged meanwhile."""
    report = yield
    if report.failed and LOG_START in item.stash:
        server, start = item.stash[LOG_START]
        report.sections.append(("offhook's log", server.log(since=start)))
    return report
