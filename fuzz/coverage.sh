#!/usr/bin/env bash
# rustc for our own crates, with libFuzzer's counters compiled in; build scripts are left alone, for nothing in them counts.
set -euo pipefail
rustc="$1"
shift
case " $* " in
    *" --crate-name build_script_build "*) exec "$rustc" "$@" ;;
esac
exec "$rustc" "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1
