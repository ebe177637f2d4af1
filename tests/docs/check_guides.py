#!/usr/bin/env python3
"""Runs what the README and the guides tell their reader to type, against a real `offhook dev`.

    OFFHOOK_BIN=/path/to/offhook python tests/docs/check_guides.py [GUIDE …]

Each page gets a server of its own, on a free port and an empty folder; with DATABASE_URL, on that empty database, and
then it can be one page only. Its marked blocks run from top to bottom, with the addresses 127.0.0.1:8080 (Offhook) and :9000
(the reader's own server) replaced by free ones. A mark is an HTML comment on the line above a code block:

    <!-- run -->                            bash or Python; must succeed. Python blocks of a page share their names,
                                            and begin with those of the first Python block of index.md
    <!-- run: json ID=data.0.id … -->       its output is JSON without an error; keeps parts of it in variables
    <!-- run: json error -->                its output is JSON with an error
    <!-- run: file NAME -->                 kept under that name in the page's folder
    <!-- run: background -->                goes on while the blocks behind it run
    <!-- run: … needs PROGRAM -->           skipped where there is no such program
    <!-- shape -->                          JSON with the keys and types of the last answer
    <!-- prints -->                         its lines are in the last output, or come in the background's; `…`
                                            stands for anything
    <!-- receiver -->                       (no block) a server that takes every event listens at :9000
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ROOT / "docs" / "guides"
MARKED = re.compile(r"^<!-- (run|shape|prints|receiver)(?:: ([^\n]*?))? -->\n+(?:```(\w+)\n(.*?)^```$)?", re.M | re.S)
PATIENCE = 30


@dataclass
class Block:
    mark: str
    words: list[str]
    language: str
    text: str
    line: int


class Wrong(Exception):
    """What a page says is not so."""


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = [
        Block(m[1], (m[2] or "").split(), m[3] or "", m[4] or "", text.count("\n", 0, m.start()) + 1)
        for m in MARKED.finditer(text)
    ]
    marks = len(re.findall(r"^<!-- (?:run|shape|prints|receiver)\b", text, re.M))
    if marks != len(found) or any(block.mark != "receiver" and not block.text for block in found):
        raise Wrong(f"{marks} marks, but {len(found)} of them stand above a block")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Reader:
    """Somebody who follows one page, in a folder of their own."""

    def __init__(self, binary: Path, home: Path) -> None:
        self.home = home
        self.port, self.own_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = f"sk_test_{secrets.token_hex(32)}"
        self.deliveries: list[tuple[dict, bytes]] = []
        self.answer = None
        self.output = ""
        self.background: list[tuple[subprocess.Popen, Path]] = []
        self.receiver = None
        self.environment = {name: os.environ[name] for name in ("PATH", "DATABASE_URL") if name in os.environ} | {
            "PATH": f"{binary.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "OFFHOOK_LISTEN": f"127.0.0.1:{self.port}",
            "OFFHOOK_DATA": str(home / "data"),
            "OFFHOOK_URL": self.url,
            "OFFHOOK_KEY": self.key,
            "PYTHONUNBUFFERED": "1",
        }
        self.names: dict = {"__name__": "__main__"}
        self.log = (home / "offhook.log").open("wb")
        self.server = subprocess.Popen(
            [binary, "dev"],
            # Nobody reads a guide for the half minute that a carrier gets to answer.
            env=self.environment
            | {"OFFHOOK_BOOTSTRAP_KEY": self.key, "OFFHOOK__SENDING__SUBMIT_TIMEOUT_SECONDS": "5"},
            stdout=self.log,
            stderr=self.log,
            cwd=home,
        )
        self.wait_until_ready()
        numbers = self.get("/v1/numbers")
        if not numbers["data"]:
            raise Wrong("the first start bought no number")
        self.environment["NUMBER"] = numbers["data"][-1]["phoneNumber"]

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.server.poll() is None:
            with contextlib.suppress(OSError):
                urlopen(f"{self.url}/readyz", timeout=2).close()
                return
            time.sleep(0.05)
        raise Wrong(f"offhook dev is not ready\n{self.logged()}")

    def get(self, path: str):
        with urlopen(Request(self.url + path, headers={"Authorization": f"Bearer {self.key}"})) as answer:
            return json.load(answer)

    def logged(self) -> str:
        return (self.home / "offhook.log").read_text(errors="replace")

    def close(self) -> None:
        for process, _ in self.background:
            process.terminate()
        for process, _ in self.background:
            process.wait()
        if self.receiver:
            self.receiver.shutdown()
            self.receiver.server_close()
        self.server.send_signal(signal.SIGTERM)
        try:
            code = self.server.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.server.kill()
            raise Wrong("offhook does not stop") from None
        if code != 0:
            raise Wrong(f"offhook ended with {code}\n{self.logged()}")

    # --- what a block may be ----------------------------------------------------------------------------------------

    def follow(self, block: Block) -> None:
        text = block.text.replace("127.0.0.1:8080", f"127.0.0.1:{self.port}").replace("9000", str(self.own_port))
        needed = block.words[block.words.index("needs") + 1 :] if "needs" in block.words else []
        missing = [word for word in needed if not shutil.which(word)]
        if missing:
            print(f"    line {block.line}: skipped, there is no {missing[0]}")
        elif block.mark == "receiver":
            self.receive()
        elif block.mark == "shape":
            differs = difference(json.loads(text), self.answer)
            if differs:
                raise Wrong(f"the answer is another: {differs}\n{json.dumps(self.answer, indent=2)}")
        elif block.mark == "prints":
            self.expect(text)
        elif block.words[:1] == ["file"]:
            (self.home / block.words[1]).write_text(text)
        elif block.language == "python":
            self.run_python(text)
        elif block.language == "bash" and "background" in block.words:
            self.start(text)
        elif block.language == "bash":
            self.run_bash(text, block.words)
        else:
            raise Wrong(f"nobody knows how to run {block.language}")

    def run_bash(self, text: str, words: list[str]) -> None:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
        )
        self.output = ran.stdout + ran.stderr
        if ran.returncode != 0:
            raise Wrong(f"exit code {ran.returncode}\n{self.output}")
        answers = documents(ran.stdout)
        failed = [answer for answer in answers if isinstance(answer, dict) and "error" in answer and answer["error"]]
        if bool(failed) != ("error" in words):
            raise Wrong(f"{'refused' if failed else 'not refused'}\n{ran.stdout}")
        if "json" in words:
            if not answers:
                raise Wrong(f"no JSON\n{ran.stdout}")
            self.answer = answers[-1]
            for name, path in (word.split("=", 1) for word in words if "=" in word):
                self.environment[name] = str(part(self.answer, path))

    def start(self, text: str) -> None:
        output = self.home / f"background-{len(self.background)}.log"
        with output.open("wb") as log:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {text}"], env=self.environment, cwd=self.home, stdout=log, stderr=log
            )
        self.background.append((process, output))
        time.sleep(0.7)
        if process.poll() is not None:
            raise Wrong(f"it ended by itself\n{output.read_text()}")

    def run_python(self, text: str) -> None:
        out = io.StringIO()
        os.environ.update(self.environment)
        os.environ.update(NO_PROXY="*")
        try:
            with contextlib.redirect_stdout(out):
                exec(compile(text, "<guide>", "exec"), self.names)  # noqa: S102
        except Exception:
            raise Wrong(f"{out.getvalue()}{traceback.format_exc(limit=-3)}") from None
        self.output = out.getvalue()

    def expect(self, text: str) -> None:
        patterns = [".*".join(map(re.escape, line.split("…"))) for line in text.splitlines() if line.strip()]
        deadline = time.monotonic() + PATIENCE
        while True:
            seen = self.output + "".join(path.read_text() for _, path in self.background)
            absent = [pattern for pattern in patterns if not re.search(pattern, seen)]
            if not absent:
                return
            if time.monotonic() > deadline:
                raise Wrong(f"nothing like {absent[0]} in\n{seen}")
            time.sleep(0.05)

    def receive(self) -> None:
        reader = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                reader.deliveries.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.receiver = ThreadingHTTPServer(("127.0.0.1", self.own_port), Handler)
        threading.Thread(target=self.receiver.serve_forever, daemon=True).start()


# --- JSON -----------------------------------------------------------------------------------------------------------


def documents(text: str) -> list:
    """The JSON documents in an output; none where it isn't JSON."""
    found, decoder, rest = [], json.JSONDecoder(), text.strip()
    while rest[:1] in ("{", "["):
        try:
            document, end = decoder.raw_decode(rest)
        except ValueError:
            return []
        found.append(document)
        rest = rest[end:].strip()
    return found


def part(document, path: str):
    for step in path.split("."):
        document = document[int(step) if step.isdigit() else step]
    return document


def difference(told, real, path: str = "") -> str | None:
    """How an answer differs from what a page shows, in keys and types. Null may stand for any value."""
    if told is None or real is None:
        return None
    if isinstance(told, dict) and isinstance(real, dict):
        if path.endswith((".metadata", ".conversationState", ".byEventType")):
            return None
        if told.keys() != real.keys():
            extra, less = sorted(real.keys() - told.keys()), sorted(told.keys() - real.keys())
            return f"at {path or 'the top'}: not told {extra}, not there {less}"
        found = (difference(told[key], real[key], f"{path}.{key}") for key in told)
        return next((one for one in found if one), None)
    if isinstance(told, list) and isinstance(real, list):
        if told and not real:
            return f"at {path or 'the top'}: empty"
        return difference(told[0], real[0], f"{path}.0") if told else None
    same = type(told) is type(real) or {type(told), type(real)} == {int, float}
    return None if same else f"at {path}: told {told!r}, is {real!r}"


# --- what is checked beside running ---------------------------------------------------------------------------------


def signatures(reader: Reader, page: Path) -> None:
    """The functions that webhooks.md shows agree with what was really sent."""
    secret = reader.get("/v1/webhooks")["secret"]
    if not reader.deliveries:
        raise Wrong("no event was received")
    for headers, body in reader.deliveries[-1:]:
        seen = {name: value for name, value in headers.items()}
        titled = Titled(seen)
        for name in ("verify_agentphone", "verify_standard"):
            if not reader.names[name](body, titled, secret):
                raise Wrong(f"{name} refuses a good event")
            if reader.names[name](body + b" ", titled, secret):
                raise Wrong(f"{name} takes a changed event")
        if shutil.which("node"):
            module = re.search(r"```javascript\n(.*?)^```", page.read_text(), re.M | re.S)
            (reader.home / "verify.mjs").write_text(module[1])
            (reader.home / "try.mjs").write_text(NODE)
            given = json.dumps({"headers": seen, "body": body.decode(), "secret": secret})
            ran = subprocess.run(["node", "try.mjs"], cwd=reader.home, input=given, text=True, capture_output=True)
            if ran.stdout.split() != ["true", "false", "true", "false"]:
                raise Wrong(f"Node's verification: {ran.stdout}{ran.stderr}")
        else:
            print("    Node's verification: skipped, there is no node")


NODE = """
import { readFileSync } from "node:fs";
import { verifyAgentPhone, verifyStandard } from "./verify.mjs";
const { headers, body, secret } = JSON.parse(readFileSync(0, "utf8"));
for (const verify of [verifyAgentPhone, verifyStandard]) {
  console.log(verify(Buffer.from(body), headers, secret), verify(Buffer.from(body + " "), headers, secret));
}
"""


class Titled(dict):
    """Headers under names in any case, as every web framework has them."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())


def greeting(reader: Reader, _: Path) -> None:
    """The commands that `offhook dev` prints do what it says."""
    printed = reader.logged()
    commands = re.findall(r"^    (?=\S*(?:curl|offhook) )((?:.*\\\n)*.*)$", printed, re.M)
    if len(commands) != 3:
        raise Wrong(f"{len(commands)} commands to paste, not three\n{printed}")
    listen, text, answer = commands
    reader.start(listen)
    time.sleep(1)
    reader.run_bash(text, ["json"])
    reader.expect('(genuine)\n"message": "Hello, is anybody there?"')
    reader.run_bash(answer, ["json"])
    time.sleep(1)
    reader.run_bash(re.search(r"The handset has it: (.*)", printed)[1], [])
    reader.expect("Yes: an agent.")


def magic_numbers(reader: Reader, page: Path) -> None:
    """A text to each magic number ends as the table says."""
    lines = re.findall(r"^\| `\+1500555.*$", page.read_text(), re.M)
    cells = [line.split("|") for line in lines]
    rows = [(number.strip(" `"), told, error.strip()) for _, number, _, told, error, _ in cells]
    code = (ROOT / "crates/carriers/src/sandbox/magic.rs").read_text()
    if {number[-4:] for number, _, _ in rows} != set(re.findall(r'Some\("(\d{4})"\) =>', code)):
        raise Wrong("the table has other magic numbers than magic.rs")
    client = reader.names["client"]
    text = {"from_number": reader.environment["NUMBER"], "body": "Hello?"}
    sent = [client.messages.send(to_number=number, **text) for number, _, _ in rows]
    for message, (number, told, error) in zip(sent, rows):
        wanted = (re.findall(r"`(\w+)`", told)[-1], error if error.isdigit() else None)
        deadline = time.monotonic() + PATIENCE
        while (seen := outcome(reader, message)) != wanted:
            if time.monotonic() > deadline:
                raise Wrong(f"a text to {number} ends as {seen}, not {wanted}")
            time.sleep(0.05)


def outcome(reader: Reader, sent: dict) -> tuple[str, str | None]:
    conversation = reader.get(f"/v1/conversations/{sent['conversation_id']}")
    message = next(one for one in conversation["messages"] if one["id"] == sent["id"])
    return message["status"], message["errorCode"]


def metrics(_: Reader, page: Path) -> None:
    """The table has every metric there is, and no other."""
    known = set(re.findall(r'"(offhook_\w+)"', (ROOT / "crates/server/src/telemetry/names.rs").read_text()))
    told = set(re.findall(r"^\| `(offhook_\w+)`", page.read_text(), re.M))
    if known != told:
        raise Wrong(f"metrics not told: {sorted(known - told)}, not there: {sorted(told - known)}")


BESIDE = {"README.md": greeting, "webhooks.md": signatures, "sandbox.md": magic_numbers, "running-it.md": metrics}


# --- pages ----------------------------------------------------------------------------------------------------------


def check(page: Path, binary: Path) -> list[str]:
    """What is wrong with a page; a page is not followed beyond the first thing."""
    with tempfile.TemporaryDirectory(prefix="offhook-docs-") as home:
        reader = None
        at = 0
        try:
            found = blocks(page)
            if not found:
                return []
            reader = Reader(binary, Path(home))
            if page.parent == GUIDES and page.name != "index.md":
                reader.follow(next(block for block in blocks(GUIDES / "index.md") if block.language == "python"))
            for block in found:
                at = block.line
                reader.follow(block)
            at = 0
            if page.name in BESIDE:
                BESIDE[page.name](reader, page)
            reader.close()
            print(f"  {page.relative_to(ROOT)}: {len(found)} blocks")
            return []
        except (Wrong, subprocess.TimeoutExpired) as wrong:
            log = f"\n--- offhook's log\n{reader.logged()[-3000:]}" if reader else ""
            return [f"{page.relative_to(ROOT)}:{at}: {wrong}{log}"]
        finally:
            if reader:
                for process in [reader.server, *(process for process, _ in reader.background)]:
                    if process.poll() is None:
                        process.kill()
                        process.wait()
                reader.log.close()


def broken_links() -> list[str]:
    """Links from the README and the guides to files and headings that are not there."""
    broken = []
    for page in [ROOT / "README.md", *sorted(GUIDES.glob("*.md"))]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, _, heading = target.partition("#")
            if ":" in target or target.startswith("/"):
                continue
            to = (page.parent / path).resolve() if path else page
            if not to.is_file() or (heading and heading not in headings(to)):
                broken.append(f"{page.relative_to(ROOT)}: {target} leads nowhere")
    return broken


def headings(page: Path) -> set[str]:
    """The ids that GitHub and /docs give to a page's headings."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.+)$", prose, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def unknown_keys() -> list[str]:
    """Configuration keys, written `[section] key`, that do not exist."""
    known, section = set(), ""
    for line in (ROOT / "crates/server/config.default.toml").read_text().splitlines():
        if line.startswith("["):
            section = line
        elif found := re.match(r"(\w+) =", line):
            known.add(f"{section} {found[1]}")
    told = {
        (page.name, key)
        for page in [ROOT / "README.md", *sorted(GUIDES.glob("*.md"))]
        for key in re.findall(r"`(\[\w+\] \w+)", page.read_text())
    }
    return [f"{page}: there is no {key}" for page, key in sorted(told) if key not in known]


def main() -> int:
    binary = os.environ.get("OFFHOOK_BIN")
    if not binary:
        print("OFFHOOK_BIN must name the offhook binary", file=sys.stderr)
        return 2
    pages = [Path(name).resolve() for name in sys.argv[1:]] or [ROOT / "README.md", *sorted(GUIDES.glob("*.md"))]
    wrong = broken_links() + unknown_keys()
    wrong += [line for page in pages for line in check(page, Path(binary).resolve())]
    for line in wrong:
        print(f"\nWRONG {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
