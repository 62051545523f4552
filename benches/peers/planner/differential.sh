#!/bin/sh
# Compares plan-replicas with KubeFed's own planner on random inputs: differential.sh [LINES] [FIRST-SEED].
# Needs go, and on the first run a network, for KubeFed's module.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v go >/dev/null; then
    echo "go is not installed: nothing was compared" >&2
    exit 0
fi
lines=${1:-200000}
first=${2:-1}
# Short runs, since an input that the original does not finish burns a processor until its run ends.
each=2000
binary="${TMPDIR:-/tmp}/planner-lines"
if ! (cd "$here" && go build -o "$binary" ./lines); then
    echo "KubeFed's module cannot be had: nothing was compared" >&2
    exit 0
fi
cd "$here/../../.."
cargo build --release --quiet -p kubefed-planner --example plan-replicas
program=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/examples/plan-replicas
run=0
while [ $((run * each)) -lt "$lines" ]; do
    "$binary" "$each" $((first + run))
    run=$((run + 1))
done | "$program" --check
