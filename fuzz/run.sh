#!/usr/bin/env bash
# libFuzzer, guided by coverage, on the stable toolchain: `fuzz/run.sh [target|all] [seconds each]`. Needs g++.
#
# What it finds on its way is below target/fuzz; what breaks a target is kept in its corpus, for every test run to try again.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly CHOSEN="${1:-all}" SECONDS_EACH="${2:-60}"
readonly TARGET="${CARGO_TARGET_DIR:-$PWD/target}"

# Only our own crates are instrumented; what they depend on is what every other build made.
RUSTC_WORKSPACE_WRAPPER="$PWD/fuzz/coverage.sh" \
    cargo build --workspace --locked --features offhook-fuzz/libfuzzer --bin fuzz

targets=("$CHOSEN")
[[ $CHOSEN != all ]] || mapfile -t targets < <(ls fuzz/corpus)
failed=()
for target in "${targets[@]}"; do
    echo "== $target"
    mkdir -p "$TARGET/fuzz/$target"
    OFFHOOK_FUZZ="$target" "$TARGET/debug/fuzz" -max_total_time="$SECONDS_EACH" -max_len=8192 -timeout=10 \
        -print_final_stats=1 -verbosity=0 -artifact_prefix="fuzz/corpus/$target/found-" \
        "$TARGET/fuzz/$target" "fuzz/corpus/$target" || failed+=("$target")
done
[[ ${#failed[@]} -eq 0 ]] || echo "failed: ${failed[*]}; the input is in the corpus"
[[ ${#failed[@]} -eq 0 ]]
