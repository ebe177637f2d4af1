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

# Measures; see benches/README.md. Arguments name engines and scenarios.
bench *SCENARIOS:
    cargo build --release --locked -p offhook-server -p offhook-benches
    cargo build --release --locked -p offhook-testkit --example smsc
    ./target/release/offhook-benches {{ SCENARIOS }}

# Kills the server so many times on each engine, and breaks all else a tenth as often; and accounts for everything.
faults ROUNDS="200" DOWN_SECONDS="60":
    OFFHOOK_FAULT_ROUNDS={{ ROUNDS }} OFFHOOK_FAULT_DOWN_SECONDS={{ DOWN_SECONDS }} ./test faults

# Runs the API's tests on both engines, with so many random stories held against the model.
model STORIES="2000":
    OFFHOOK_MODEL_CASES={{ STORIES }} ./test api


# Searches for octets that a parser minds, for so many seconds each; one target or all. See fuzz/src/lib.rs.
fuzz TARGET="all" SECONDS="60":
    ./fuzz/run.sh {{ TARGET }} {{ SECONDS }}
