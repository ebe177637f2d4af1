"""Schemathesis over the whole OpenAPI document, against a real `offhook dev` process on SQLite.

    OFFHOOK_BIN=/path/to/offhook python run.py [--seed N, or any other option of `st run`]

What is checked, how much of it and what is expected are in schemathesis.toml. The seed is the same in every
run unless `--seed N` gives another, so that what CI found yesterday it finds today. Exits with schemathesis' own code; 0 means no failures.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "sdk"))

from harness.server import OffhookProcess  # noqa: E402  the SDK suite's way to start a process is this one's too

TAIL_OF_THE_LOG = 20_000


# Codes are asked for far more often than anybody may; that they are refused is tested elsewhere.
WITHOUT_LIMITS = {
    "OFFHOOK__SIGN_UP__PER_ADDRESS_PER_HOUR": "1000000",
    "OFFHOOK__SIGN_UP__PER_IP_PER_HOUR": "1000000",
    "OFFHOOK__SIGN_UP__PER_HOUR": "1000000",
    "OFFHOOK__VERIFICATION__PER_DESTINATION_PER_HOUR": "1000000",
    "OFFHOOK__VERIFICATION__PER_ACCOUNT_PER_HOUR": "1000000",
}

# Any number; look for more with others.
SEED = "20261123"


def main(options: list[str]) -> int:
    binary = os.environ.get("OFFHOOK_BIN")
    if not binary:
        sys.exit("OFFHOOK_BIN must name the offhook binary")
    if not any(option.startswith("--seed") for option in options):
        options = [*options, "--seed", SEED]
    with tempfile.TemporaryDirectory() as folder:
        process = OffhookProcess(os.path.abspath(binary), Path(folder), WITHOUT_LIMITS)
        try:
            process.wait_until_ready()
            code = schemathesis(process, options)
            process.stop()
        finally:
            process.kill()
        if code:
            print(f"\noffhook's log, its end:\n{process.log()[-TAIL_OF_THE_LOG:]}")
        return code


def schemathesis(process: OffhookProcess, options: list[str]) -> int:
    print(f"options: {' '.join(options)}", flush=True)
    environment = os.environ | {"OFFHOOK_TEST_KEY": process.api_key, "NO_PROXY": "127.0.0.1"}
    program = Path(sys.executable).with_name("st")
    command = [program, "run", f"{process.base_url}/openapi.json", *options]
    return subprocess.run(command, cwd=HERE, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
