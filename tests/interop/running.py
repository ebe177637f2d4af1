"""What all stories with other people's programs start Offhook with: a process that ends with the test."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx

PATIENCE = 30.0


def eventually(look: Callable, what: str, patience: float = PATIENCE):
    """The first thing that `look` finds."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if (found := look()) is not None:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


def certificate(home: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1's own, which is its own authority."""
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    made, key = home / "ca.pem", home / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*command, *name, "-out", made, "-keyout", key], check=True, capture_output=True)
    return made, key


class Running:
    """`offhook serve` in `home`, which has a certificate, with a configuration and what that names of the environment."""

    def __init__(self, home: Path, port: int, configuration: str, **environment: str) -> None:
        self.home, self.key = home, f"sk_live_{secrets.token_hex(16)}"
        self.url, self.log = f"http://127.0.0.1:{port}", home / "offhook.log"
        (home / "offhook.toml").write_text(configuration)
        passed = {name: os.environ[name] for name in ("PATH", "DATABASE_URL") if name in os.environ}
        self.environment = passed | environment | {
            "HOME": str(home),
            "OFFHOOK_CONFIG": str(home / "offhook.toml"),
            "OFFHOOK_LISTEN": f"127.0.0.1:{port}",
            "OFFHOOK_DATA": str(home / "data"),
            "OFFHOOK_BOOTSTRAP_KEY": self.key,
            "SSL_CERT_FILE": str(home / "ca.pem"),
        }
        self.api = httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {self.key}"}, timeout=PATIENCE)

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [os.environ["OFFHOOK_BIN"], "serve"]
            self.process = subprocess.Popen(command, cwd=self.home, env=self.environment, stdout=log, stderr=log)
        eventually(self.ready, "offhook")

    def ready(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return True if self.api.get("/readyz").status_code == 200 else None
        except httpx.TransportError:
            return None

    def import_number(self, number: str, carrier: str) -> None:
        """A number of the operator's own."""
        (self.home / "numbers.csv").write_text(f"number\n{number}\n")
        command = [os.environ["OFFHOOK_BIN"], "numbers", "import", str(self.home / "numbers.csv"), "--carrier", carrier]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    def end(self) -> None:
        """Ends as an operator ends it."""
        try:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(timeout=PATIENCE) == 0, self.log.read_text()[-5000:]
            assert "panicked" not in self.log.read_text()
        finally:
            self.process.kill()
