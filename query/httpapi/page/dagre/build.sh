#!/usr/bin/env bash
# build.sh OUT: makes dagre.js, the layout library in the status page, from the
# package that package-lock.json pins with its checksum. Needs node and npm.
set -euo pipefail
out=$(realpath "$1")
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp package.json package-lock.json "$work"
(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --silent)
dist=$work/node_modules/@dagrejs/dagre
cmp "$dist/LICENSE" LICENSE
cmp "$work/node_modules/@dagrejs/graphlib/LICENSE" LICENSE
{
	printf '/*! @dagrejs/dagre %s\n\n' "$(node -p 'require(process.argv[1]).version' "$dist/package.json")"
	cat LICENSE
	printf '*/\n'
	# Without the comments that lead to other files.
	grep -vE '^(/\*! For license information|//# sourceMappingURL=)' "$dist/dist/dagre.min.js"
} >"$out"
