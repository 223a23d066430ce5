#!/bin/sh
# Runs one of the programs in Rust, built before if it has to be: program.sh NAME [arguments]
# Arguments reach the program as they are; no shell and no pipeline's syntax looks into them.
set -eu
here=$(dirname -- "$0")
# shellcheck source=pipelines/setup.sh
. "$here/setup.sh"
find_cargo
name=$1
shift
# Compiling takes minutes, which are not to pass in silence.
quiet=
[ ! -x "${CARGO_TARGET_DIR:-$here/../target}/release/examples/$name" ] || quiet=--quiet
# shellcheck disable=SC2086
exec cargo run --release --locked $quiet --manifest-path "$here/../Cargo.toml" --features "$(plugin_features)" --example "$name" -- "$@"
