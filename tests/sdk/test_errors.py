"""What goes wrong is told in a way that the SDK turns into the right exception."""

import httpx
import pytest
from agentphone import AgentPhoneError, AuthenticationError, NotFoundError

from harness.errors import bad_fields, refused


@pytest.mark.parametrize("api_key", [f"sk_test_{'0' * 64}", f"sk_live_{'0' * 64}", "sk_test_short", "nonsense"])
async def test_a_wrong_key_is_an_authentication_error(connect, api_key):
    stranger = connect(api_key)

    with refused(401) as refusal:
        await stranger.agents.list()
    assert refusal.type is AuthenticationError
    with refused(401):
        await stranger.agents.create(name="Intruder")


async def test_a_stranger_is_told_nothing_about_what_exists(connect, agent):
    with refused(401):
        await connect("sk_test_stranger").agents.get(agent.id)


async def test_what_does_not_exist_is_a_not_found_error(client):
    for lookup in (
        lambda: client.agents.get("agt_nobody"),
        lambda: client.numbers.get("num_nowhere"),
        lambda: client.numbers.get_messages("num_nowhere"),
        lambda: client.numbers.release("num_nowhere"),
        lambda: client.conversations.get("conv_nowhere"),
        lambda: client.contacts.get("contact_nobody"),
        lambda: client.contacts.update("contact_nobody", name="Nobody"),
        lambda: client.agents.update("agt_nobody", name="Nobody"),
        lambda: client.agents.list_conversations("agt_nobody"),
    ):
        with refused(404) as refusal:
            await lookup()
        assert refusal.type is NotFoundError


async def test_an_id_of_another_kind_is_not_found(client, agent):
    with refused(404):
        await client.numbers.get(agent.id)


async def test_attaching_needs_both_sides(client, agent, buy_number):
    number = await buy_number()
    with pytest.raises(NotFoundError):
        await client.agents.attach_number(agent.id, "num_nowhere")
    with pytest.raises(NotFoundError):
        await client.agents.attach_number("agt_nobody", number.id)


async def test_every_bad_field_is_named_not_only_the_first(create_agent):
    with refused(422) as refusal:
        await create_agent(
            name="Odd", voice_speed=9.0, max_silence_ms=1, interruption_sensitivity=2.0, voice_mode="telepathy"
        )

    assert refusal.type is AgentPhoneError
    assert {"voiceSpeed", "maxSilenceMs", "interruptionSensitivity", "voiceMode"} <= bad_fields(refusal)
    assert all(item["loc"][0] == "body" for item in refusal.value.message)


@pytest.mark.parametrize("page", [dict(limit=0), dict(limit=101), dict(limit=-1), dict(offset=-1)])
async def test_a_page_out_of_range_is_refused(client, page):
    for list_page in (client.agents.list, client.numbers.list, client.conversations.list):
        with refused(422) as refusal:
            await list_page(**page)
        assert bad_fields(refusal) == set(page)


async def test_what_is_well_formed_but_impossible_is_refused_with_a_sentence(client, agent, handset):
    with refused(400) as refusal:
        await client.messages.send(agent_id=agent.id, to_number=handset.number, body="I have no number yet.")
    assert refusal.type is AgentPhoneError


async def test_one_envelope_serves_every_client(server):
    """What is on the wire beneath the SDK's exception: the other clients read `error`."""
    async with httpx.AsyncClient(
        base_url=server.base_url, headers={"Authorization": f"Bearer {server.api_key}"}
    ) as wire:
        missing = await wire.get("/v1/agents/agt_nobody")
        malformed = await wire.post("/v1/agents", json={"name": "Odd", "voiceSpeed": 9})
        stranger = await wire.get("/v1/agents", headers={"Authorization": "Bearer nonsense"})

    for answer, status, code, kind in (
        (missing, 404, "AGENT_NOT_FOUND", "not_found"),
        (malformed, 422, "VALIDATION_ERROR", None),
        (stranger, 401, "UNAUTHORIZED", "authentication_error"),
    ):
        assert answer.status_code == status
        error = answer.json()["error"]
        assert (error["code"], bool(error["message"])) == (code, True)
        assert kind is None or error["type"] == kind
        assert error["requestId"] == answer.headers["X-Request-Id"]
    [detail] = malformed.json()["error"]["details"]
    assert detail["field"] == "voiceSpeed" and detail["message"]
    assert missing.json()["detail"] == missing.json()["error"]["message"]
