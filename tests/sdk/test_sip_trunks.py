"""The customer's own telephone system."""

import pytest
from agentphone import NotFoundError

from harness.errors import bad_fields, refused


@pytest.fixture
async def add_trunk(client):
    added = []

    async def add():
        trunk = await client.sip_trunks.create()
        added.append(trunk.id)
        return trunk

    yield add
    for trunk_id in added:
        try:
            await client.sip_trunks.delete(trunk_id)
        except NotFoundError:
            pass


async def test_a_trunk_is_made_changed_and_deleted(client, add_trunk):
    trunk = await add_trunk()
    assert trunk.id.startswith("trunk_") and trunk.termination_sip_uri.startswith("sip:")
    assert (trunk.transfers, trunk.transfer_caller_id, trunk.provider) == ("none", "transferee", "offhook")
    assert trunk.transport in {"udp", "tcp", "tls"} and trunk.media_encryption in {"never", "offered", "always"}
    assert trunk.encrypted is False and trunk.created_at.endswith("Z")
    assert (trunk.origination_uris, trunk.allowed_ips) == ([], [])
    [login] = trunk.credentials
    assert login.password.endswith(login.password_last4) and login.credential_list_name

    uris = [{"sip_uri": "sip:pbx.example.com;transport=tls", "name": "first", "priority": 1, "weight": 5}]
    changed = await client.sip_trunks.update(
        trunk.id, name="Office", transfers="sip", transfer_caller_id="transferor", origination={"uris": uris}
    )
    assert (changed.name, changed.transfers, changed.transfer_caller_id) == ("Office", "sip", "transferor")
    [uri] = changed.origination_uris
    assert (uri.sip_uri, uri.name, uri.priority, uri.weight) == (uris[0]["sip_uri"], "first", 1, 5)
    [kept] = changed.credentials
    assert (kept.username, kept.password, kept.password_last4) == (login.username, None, login.password_last4)
    assert await client.sip_trunks.get(trunk.id) == changed
    assert changed in await client.sip_trunks.list()

    assert (await client.sip_trunks.delete(trunk.id))["success"] is True
    with refused(404):
        await client.sip_trunks.get(trunk.id)


async def test_an_update_without_fields_rotates_the_password(client, add_trunk):
    trunk = await add_trunk()
    rotated = await client.sip_trunks.update(trunk.id)
    [before], [after] = trunk.credentials, rotated.credentials
    assert after.username == before.username
    assert after.password and after.password != before.password
    [shown] = (await client.sip_trunks.get(trunk.id)).credentials
    assert (shown.password, shown.password_last4) == (None, after.password[-4:])


async def test_what_is_no_sip_address_is_refused(client, add_trunk):
    trunk = await add_trunk()
    with refused(422) as refusal:
        await client.sip_trunks.update(trunk.id, transfers="some", origination={"uris": [{"sip_uri": "tel:+1415"}]})
    assert bad_fields(refusal) == {"transfers", "origination.uris.0.sip_uri"}
