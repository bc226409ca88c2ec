#!/bin/sh
# The foreign code of the dashboard, fetched again from the npm registry as ryu_vmmob/rest/dashboard/vendor/VERSIONS.txt names it.
# It needs npm and a network; nothing else here does. For a newer version: write it into VERSIONS.txt, run this with `--accept`
# to have the new digests written, look at the page (make test-browser), commit.
set -eu
cd "$(dirname "$0")/../ryu_vmmob/rest/dashboard/vendor"
name=$(sed -n 's/^name: //p' VERSIONS.txt)
version=$(sed -n 's/^version: //p' VERSIONS.txt)
[ "$name" ] && [ "$version" ] || { echo 'VERSIONS.txt names no version' >&2; exit 1; }
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
(cd "$place" && npm pack --silent "$name@$version" >/dev/null && tar xzf ./*.tgz)
cp "$place/package/dist/cytoscape.esm.min.mjs" cytoscape.esm.min.js
cp "$place/package/LICENSE" cytoscape.LICENSE.txt
if [ "${1:-}" = --accept ]; then
    sed -i '/^sha256: /d' VERSIONS.txt
    sha256sum cytoscape.esm.min.js cytoscape.LICENSE.txt | sed 's/^/sha256: /' >>VERSIONS.txt
fi
sed -n 's/^sha256: //p' VERSIONS.txt | sha256sum --check --strict
