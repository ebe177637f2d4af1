"""Pictures that go out and come in: fetched once, kept in a store that speaks S3, and served under links."""

import httpx

from harness.pictures import PICTURE
from harness.waiting import eventually


async def opened(link: str, **headers: str) -> httpx.Response:
    """A file as somebody without a key gets it."""
    async with httpx.AsyncClient() as world:
        return await world.get(link, headers=headers)


async def test_a_picture_goes_out_by_a_link_of_ours(client, agent, number, handset, pictures, bucket):
    before = bucket.objects()
    await client.messages.send(agent_id=agent.id, to_number=handset.number, media_urls=[pictures.url("menu.png")])
    [received] = await handset.receives(1)
    [link] = received["mediaUrls"]
    file = await opened(link)
    assert (file.status_code, file.content, file.headers["content-type"]) == (200, PICTURE, "image/png")
    part = await opened(link, range="bytes=0-7")
    assert (part.status_code, part.content) == (206, PICTURE[:8])
    assert (await opened(link.replace("signature=", "signature=0"))).status_code == 404
    [kept] = bucket.objects() - before
    assert kept.startswith("kept/here/") and bucket.read(kept) == PICTURE
    assert pictures.asked == ["/menu.png"]


async def test_a_picture_comes_in_by_a_link_of_ours_and_goes_with_its_person(
    client, server, number, handset, receiver, account_webhook, pictures, bucket
):
    before = bucket.objects()
    await handset.texts(number.phone_number, media_urls=[pictures.url("receipt.png")])
    event = (await receiver.delivers("")).opened_with(account_webhook.secret)
    assert (await opened(event.data.media_url)).content == PICTURE
    assert len(bucket.objects() - before) == 1

    person = {"phoneNumber": handset.number}
    async with httpx.AsyncClient(base_url=server.base_url) as world:
        erased = await world.post(
            "/v1/privacy/erase", json=person, headers={"Authorization": f"Bearer {server.api_key}"}
        )
    assert erased.is_success, erased.text
    assert (await opened(event.data.media_url)).status_code == 404

    async def left() -> set[str]:
        return bucket.objects() - before

    await eventually(left, until=lambda objects: not objects)
