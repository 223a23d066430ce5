#!/bin/sh
# Runs each fuzz target, or those that are named, for so many seconds each, and says how much each has tried.
# Usage: tests/fuzz/run.sh SECONDS [TARGET…]
# Needs a C++ compiler and tar beside what the plugin needs; `cargo fuzz run TARGET --fuzz-dir tests/fuzz --sanitizer none`
# runs the targets, too. Findings lie in tests/fuzz/artifacts.
set -eu
cd "$(dirname "$0")"

seconds=${1:?Usage: tests/fuzz/run.sh SECONDS [TARGET…]}
shift
[ $# -gt 0 ] || set -- weights checkpoint boxes labels archive regions

# The versions that the plugin is tested with.
[ -e Cargo.lock ] || cp ../../Cargo.lock .
RUSTC_WRAPPER="$PWD/instrument.sh" cargo build --release
target/release/seeds

status=0
for target in "$@"; do
    echo "== $target"
    mkdir -p "artifacts/$target"
    # Far more time and memory than any input takes.
    "target/release/$target" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="artifacts/$target/" "corpus/$target" >"artifacts/$target.log" 2>&1 || status=1
    grep -E 'panicked|ERROR|SUMMARY|stat::|cov: .* DONE|DONE' "artifacts/$target.log" || true
done
exit $status
