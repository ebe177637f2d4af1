"""A real `offhook dev` process: started on a free port with an empty data directory, stopped by SIGTERM."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
from pathlib import Path

import requests

from .waiting import eventually_now

START_WITHIN = 30.0
STOP_WITHIN = 30.0
PASSED_THROUGH = ("PATH", "DATABASE_URL", "RUST_LOG", "RUST_BACKTRACE", "LLVM_PROFILE_FILE")


class OffhookProcess:
    def __init__(self, binary: str, home: Path, settings: dict[str, str] | None = None) -> None:
        self.api_key = f"sk_test_{secrets.token_hex(32)}"
        self.base_url = f"http://127.0.0.1:{free_port()}"
        self._log_path = home / "offhook.log"
        environment = {name: os.environ[name] for name in PASSED_THROUGH if name in os.environ}
        environment |= {
            "HOME": str(home),
            "OFFHOOK_LISTEN": self.base_url.removeprefix("http://"),
            "OFFHOOK_DATA": str(home / "data"),
            "OFFHOOK_BOOTSTRAP_KEY": self.api_key,
            **(settings or {}),
        }
        (home / "data").mkdir()
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [binary, "dev"], cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_until_ready(self) -> None:
        eventually_now(self._is_ready, within=START_WITHIN, otherwise=lambda: f"/readyz is not 200\n{self.log()}")

    def stop(self) -> None:
        """A stop that was asked for is a success: exit code 0, and soon."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout=STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running {STOP_WITHIN:g} s after SIGTERM\n{self.log()}") from None
        assert code == 0, f"exit code {code} after SIGTERM\n{self.log()}"

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def log(self, since: int = 0) -> str:
        return self._log_path.read_bytes()[since:].decode(errors="replace")

    def log_size(self) -> int:
        return self._log_path.stat().st_size

    def _is_ready(self) -> bool:
        code = self._process.poll()
        assert code is None, f"offhook ended with exit code {code} before it was ready\n{self.log()}"
        try:
            return requests.get(f"{self.base_url}/readyz", timeout=2).status_code == 200
        except requests.RequestException:
            return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
