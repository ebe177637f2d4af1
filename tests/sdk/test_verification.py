"""Whose a phone number is: a code is texted there and entered here."""

import re

from harness.errors import bad_fields, refused


async def code_on(handset):
    inbox = await handset.receives(1)
    return re.match(r"\d{6}", inbox[-1]["body"]).group()


async def test_a_code_is_texted_and_entered(client, number, handset):
    sent = await client.verification.send_verification(handset.national)
    assert sent.keys() == {"verification_id", "expires_at"}
    code = await code_on(handset)

    wrong = "000000" if code != "000000" else "000001"
    missed = await client.verification.check_verification(sent["verification_id"], wrong)
    assert missed == {"verified": False, "attempts_left": 4}
    right = await client.verification.check_verification(sent["verification_id"], code)
    assert right["verified"] is True
    with refused(400):
        await client.verification.check_verification(sent["verification_id"], code)


async def test_the_code_is_its_receivers_alone(client, agent, number, handset):
    await client.verification.send_verification(handset.number)
    code = await code_on(handset)
    conversations = [one for one in (await client.conversations.list(limit=100)).data if one.participant == handset.number]
    shown = await client.conversations.get(conversations[0].id)
    assert shown.messages and all(code not in message.body for message in shown.messages)
    assert code not in (conversations[0].last_message_preview or "")


async def test_what_is_no_number_or_no_code_is_refused(client, number):
    with refused(422) as refusal:
        await client.verification.send_verification("not a number")
    assert bad_fields(refusal) == {"phone_number"}
    with refused(404):
        await client.verification.check_verification("ver_nonsense", "123456")
    with refused(422) as refusal:
        await client.verification.check_verification("ver_nonsense", "12")
    assert bad_fields(refusal) == {"code"}
