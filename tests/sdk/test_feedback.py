"""What a customer tells the operator."""

from harness.errors import bad_fields, refused


async def test_feedback_is_taken(client):
    given = await client.feedback.submit("bug", "it rang twice", request_id="req_1", tags=["voice"])
    assert given["ok"] is True and given["id"]
    least = await client.feedback.submit("praise", "well done")
    assert least["ok"] is True and least["id"] != given["id"]


async def test_feedback_needs_a_note(client):
    with refused(422) as refusal:
        await client.feedback.submit("bug", "")
    assert bad_fields(refusal) == {"note"}
