#!/bin/sh
# rustc for cargo, with libFuzzer's counters and debug assertions in the plugin and the targets alone: what
# they depend on is built as ever. Works on stable toolchains.
case " $* " in
*" --crate-name gstsmile "* | *" --crate-name smile_fuzz "* | *" targets/"*)
    exec "$@" --cfg fuzzing -Cdebug-assertions -Ccodegen-units=1 -Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
*) exec "$@" ;;
esac
