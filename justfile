# Short names for what the scripts and cargo do; no logic of its own.

# Lists the recipes.
default:
    @just --list

# Builds the binary as it is released.
build:
    cargo build --release --bin offhook

# Builds and starts Offhook in sandbox mode.
run:
    ./run

# Runs every suite, or the ones named.
test *SUITES:
    ./test {{ SUITES }}

# Formats the code.
fmt:
    cargo fmt --all

# What CI asks of the code.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Runs the API's tests on both engines, with so many random stories held against the model.
model STORIES="2000":
    OFFHOOK_MODEL_CASES={{ STORIES }} ./test api

# Kills the server so many times on each engine, and accounts for everything.
faults ROUNDS="50":
    OFFHOOK_FAULT_ROUNDS={{ ROUNDS }} ./test faults
