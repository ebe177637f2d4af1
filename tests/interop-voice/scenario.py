"""What sipp plays, put together of steps: a side of a call as XML.

`Caller` places a call, `Callee` is called; both know what they are within the call, so that a step is a line of a story:

    Caller(called).invite().answered().ack().press("5").bye()
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

SDP = """v=0
o=sipp 1 {version} IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a={direction}"""


def sdp(direction: str = "sendrecv", version: int = 1) -> str:
    return SDP.format(direction=direction, version=version)


class Scenario:
    """Either side. `ours` and `theirs` are the values of From and To in our own requests."""

    ours: str
    theirs: str
    # How others reach us.
    contact = "<sip:sipp@[local_ip]:[local_port];transport=[transport]>"
    via = "[transport] [local_ip]:[local_port]"

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.number = 0
        self.asked = ""
        self.variables: set[str] = set()

    def add(self, step: str) -> Self:
        self.steps.append(step)
        return self

    def request(
        self, method: str, *headers: str, body: str = "", kind: str = "application/sdp", uri: str = "[next_url]", number: int | None = None,
        to: str | None = None,
    ) -> Self:
        if number is None:
            self.number += 1
            number = self.number
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{self.via};branch=[branch]",
            f"From: {self.ours}",
            f"To: {to or self.theirs}",
            "Call-ID: [call_id]",
            f"CSeq: {number} {method}",
            f"Contact: {self.contact}",
            "Max-Forwards: 70",
            *headers,
        ]
        self.asked = method
        again = "" if method == "ACK" else ' retrans="500"'
        return self.add(f"<send{again}><![CDATA[{written(lines, body, kind)}]]></send>")

    def reply(self, status: str, *headers: str, body: str = "", kind: str = "application/sdp", to: str = "[last_To:]") -> Self:
        """Answers the request that came last."""
        lines = [f"SIP/2.0 {status}", "[last_Via:]", "[last_From:]", to, "[last_Call-ID:]", "[last_CSeq:]", f"Contact: {self.contact}", *headers]
        # Only an answer to INVITE is acknowledged.
        again = ' retrans="500"' if "SIPpUas" in to and status.startswith(("2", "3", "4", "5", "6")) else ""
        return self.add(f"<send{again}><![CDATA[{written(lines, body, kind)}]]></send>")

    def comes(self, request: str, **headers: str) -> Self:
        """Waits for a request, with headers that fit these expressions."""
        return self.add(f'<recv request="{request}">{self.checks(headers)}</recv>')

    def answered(self, status: int = 200, *, optional: bool = False, auth: bool = False, **headers: str) -> Self:
        """Waits for an answer, with headers or a body that fit these expressions."""
        more = (' rrs="true"' if status == 200 and self.asked == "INVITE" else "") + (' optional="true"' if optional else "") + (' auth="true"' if auth else "")
        return self.add(f'<recv response="{status}"{more}>{self.checks(headers)}</recv>')

    def checks(self, headers: dict[str, str]) -> str:
        actions = []
        for name, expression in headers.items():
            self.variables.add("seen")
            where = 'search_in="body"' if name == "body" else f'search_in="hdr" header="{name.replace("_", "-")}:"'
            actions.append(f'<ereg regexp="{expression}" {where} check_it="true" assign_to="seen"/>')
        return f"<action>{''.join(actions)}</action>" if actions else ""

    def pause(self, milliseconds: int) -> Self:
        return self.add(f'<pause milliseconds="{milliseconds}"/>')

    def ack(self, number: int | None = None) -> Self:
        return self.request("ACK", number=number or self.number)

    def bye(self) -> Self:
        return self.request("BYE").answered()

    def is_ended(self) -> Self:
        """They hang up."""
        return self.comes("BYE").reply("200 OK")

    def press(self, keys: str) -> Self:
        """As INFO, and told the end of them by `#`."""
        for key in keys:
            body = f"Signal={key}\nDuration=160"
            self.request("INFO", body=body, kind="application/dtmf-relay").answered()
        return self

    def write(self, file: Path) -> Path:
        used = "".join(f'<Reference variables="{name}"/>' for name in sorted(self.variables))
        file.write_text(f'<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="{file.stem}">\n' + "\n".join(self.steps) + f"\n{used}</scenario>\n")
        return file


class Caller(Scenario):
    """Calls `called`, as `caller`."""

    def __init__(self, called: str, caller: str = "+14155550111") -> None:
        super().__init__()
        self.ours = f"<sip:{caller}@[local_ip]:[local_port]>;tag=[pid]SIPpUac[call_number]"
        self.theirs = f"<sip:{called}@[remote_ip]:[remote_port]>[peer_tag_param]"
        self.uri = f"sip:{called}@[remote_ip]:[remote_port]"

    def invite(self, *headers: str, body: str | None = None) -> Self:
        """Up to the answer, which is not waited for."""
        self.request("INVITE", *headers, body=sdp() if body is None else body, uri=self.uri, to=f"<{self.uri}>")
        return self.answered(100, optional=True).answered(180, optional=True)

    def stands(self, *headers: str) -> Self:
        return self.invite(*headers).answered().ack()

    def ack_refusal(self) -> Self:
        lines = [
            f"ACK {self.uri} SIP/2.0", "[last_Via:]", f"From: {self.ours}", f"To: {self.theirs}", "Call-ID: [call_id]",
            f"CSeq: {self.number} ACK", "Max-Forwards: 70",
        ]  # fmt: skip
        return self.add(f"<send><![CDATA[{written(lines, '', '')}]]></send>")


class Callee(Scenario):
    """Is called. Its own requests go to `offhook`, a SIP address."""

    def __init__(self, offhook: str, contact: str | None = None) -> None:
        super().__init__()
        if contact:
            self.contact = contact
        self.variables |= {"whole", "tag"}
        self.ours = "<sip:callee@[local_ip]:[local_port]>;tag=[pid]SIPpUas[call_number]"
        self.theirs = f"<{offhook}>;tag=[$tag]"
        self.offhook = offhook
        self.add(
            '<recv request="INVITE"><action><ereg regexp="tag=([^;]*)" search_in="hdr" header="From:" check_it="true" '
            'assign_to="whole,tag"/></action></recv>'
        )

    def request(self, method: str, *headers: str, **more: object) -> Self:
        return super().request(method, *headers, **({"uri": self.offhook} | more))

    def says(self, status: str, *headers: str, body: str = "") -> Self:
        """Answers the call."""
        return self.reply(status, *headers, body=body, to="[last_To:];tag=[pid]SIPpUas[call_number]")

    def takes(self) -> Self:
        return self.says("200 OK", body=sdp()).comes("ACK")

    def refuses(self, status: str, *headers: str) -> Self:
        return self.says(status, *headers).comes("ACK")


def written(lines: list[str], body: str, kind: str) -> str:
    if body:
        lines = [*lines, f"Content-Type: {kind}"]
    # sipp leaves out what stands before a line, and adds the ends of lines.
    return "\n" + "\n".join([*lines, "Content-Length: [len]", "", body]) + "\n"
