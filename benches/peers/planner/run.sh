#!/bin/sh
# Compares compat with KubeFed's own planner, and our Webster's method with Karmada's, and rewrites
# crates/kubefed-planner/docs/peers.md. Needs go, and on the first run a network, for the modules of the two.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
if ! command -v go >/dev/null; then
    echo "go is not installed: nothing was compared" >&2
    exit 0
fi
cd "$root"
bench=$(cargo bench -p kubefed-planner --bench planner --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\/planner-[^"]*\)".*/\1/p')
peer=${TMPDIR:-/tmp}/planner-peer
if ! (cd "$here" && go build -o "$peer" .); then
    echo "KubeFed's module cannot be had: nothing was compared" >&2
    exit 0
fi
if (cd "$here/karmada" && go build -o "$peer-karmada" .); then
    exec "$peer" "$bench" "$root/crates/kubefed-planner/docs" "$peer-karmada"
fi
echo "Karmada's module cannot be had: only KubeFed is compared" >&2
exec "$peer" "$bench" "$root/crates/kubefed-planner/docs"
