#!/usr/bin/env bash
# SMPP with peers that nobody here wrote: `tests/interop-sms/peers.sh <folder to install them in>`. Needs node, npm and
# python3; what it starts ends with it.
set -euo pipefail
cd "$(dirname "$0")/../.."
peers="$(realpath -m "${1:?where to install the peers}")"

mkdir -p "$peers"
cp tests/interop-sms/package.json "$peers/"
[[ -d $peers/node_modules/smpp ]] || npm install --prefix "$peers" --no-audit --no-fund --silent
if [[ ! -x $peers/venv/bin/python ]]; then
    python3 -m venv "$peers/venv"
fi
"$peers/venv/bin/pip" install --quiet --disable-pip-version-check -r tests/interop-sms/requirements-smpp.txt

export OFFHOOK_INTEROP_PEERS="$peers"
if command -v cargo-nextest >/dev/null; then
    cargo nextest run --workspace --locked --no-fail-fast --test smpp interop::
else
    cargo test --workspace --locked --no-fail-fast --test smpp interop::
fi
