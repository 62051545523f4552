#!/bin/sh
# Compares compat with KubeFed's own planner and rewrites crates/kubefed-planner/docs/peers.md.
# Needs go, and on the first run a network, for KubeFed's module.
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
(cd "$here" && go build -o "${TMPDIR:-/tmp}/planner-peer" .)
exec "${TMPDIR:-/tmp}/planner-peer" "$bench" "$root/crates/kubefed-planner/docs"
