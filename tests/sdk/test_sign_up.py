"""Somebody opens an account himself: an address, a mail, a code, and a key that works."""

import uuid

import httpx
import pytest


@pytest.fixture
def address():
    return f"human-{uuid.uuid4().hex}@example.org"


@pytest.fixture
async def web(server):
    async with httpx.AsyncClient(base_url=server.base_url) as client:
        yield client


async def sign_up(web, address):
    answer = await web.post("/v0/agent/sign-up", json={"human_email": address, "agent_name": "Front desk"})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def enter(web, begun, code):
    body = {"verification_id": begun["verification_id"], "otp_code": code, "source": "a test"}
    return await web.post("/v0/agent/verify", json=body)


async def test_a_human_signs_up_reads_the_mail_and_has_a_key_that_works(web, connect, mailbox, address, handset):
    begun = await sign_up(web, address.upper())
    assert begun.keys() == {"verification_id", "human_email", "expires_at", "message"}
    assert begun["human_email"] == address

    mail = await mailbox.mail_for(address)
    assert "code" in mail["Subject"] and mail["Message-ID"]
    code = await mailbox.code_for(address)
    answer = await enter(web, begun, code)
    assert answer.status_code == 200, answer.text
    account = answer.json()
    assert account.keys() == {"account_id", "agent_id", "number_id", "phone_number", "api_key"}

    client = connect(account["api_key"])
    numbers = await client.numbers.list()
    assert [number.id for number in numbers.data] == [account["number_id"]]
    agent = await client.agents.get(account["agent_id"])
    assert agent.name == "Front desk"
    await client.messages.send(agent_id=account["agent_id"], to_number=handset.number, body="Hello")
    assert [text["from"] for text in await handset.receives(1)] == [account["phone_number"]]

    # The same code, the same answer; another sign-up, none.
    assert (await enter(web, begun, code)).json() == account
    again = await web.post("/v0/agent/sign-up", json={"human_email": address, "agent_name": "Another"})
    assert again.status_code == 409
    await client.numbers.release(account["number_id"])


async def test_a_mail_server_that_is_busy_is_asked_again(web, mailbox, address):
    mailbox.refusals = 1
    begun = await sign_up(web, address)
    code = await mailbox.code_for(address)
    answer = await enter(web, begun, code)
    assert answer.status_code == 200, answer.text
    account = answer.json()
    headers = {"Authorization": f"Bearer {account['api_key']}"}
    assert (await web.delete(f"/v1/numbers/{account['number_id']}", headers=headers)).status_code == 200


async def test_the_code_stands_in_the_mail_only(web, server, mailbox, address):
    begun = await sign_up(web, address)
    code = await mailbox.code_for(address)
    assert code not in str(begun)
    assert f"code={code}" not in server.log() and f'"{code}"' not in server.log()
    wrong = "000000" if code != "000000" else "000001"
    refused = await enter(web, begun, wrong)
    assert refused.status_code == 400 and "4 more times" in refused.json()["error"]["message"]
