#!/usr/bin/env bash
# Installs the clients of other languages: Debian packages, a Python environment and Node modules under target/clients.
# Safe to run again. Without root or apt the Debian packages must be there already.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}/clients
mkdir -p "$target"
target=$(cd "$target" && pwd)

missing=()
need() { # COMMAND PACKAGE...: the packages are needed unless the command succeeds
    local command=$1
    shift
    bash -c "$command" >/dev/null 2>&1 || missing+=("$@")
}
need 'python3 -m venv --help && python3 -c "import ensurepip"' python3-venv
need 'command -v node' nodejs
need 'command -v npm' npm
need 'ruby -e "require %q(stomp)"' ruby ruby-stomp
need 'perl -MNet::Stomp -e 1' libnet-stomp-perl
need 'php -r "exit(class_exists(\"Stomp\") ? 0 : 1);"' php-cli php-stomp
if ((${#missing[@]})); then
    as_root=()
    ((EUID == 0)) || as_root=(sudo)
    "${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=600 update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! cmp -s "$here/python/requirements.txt" "$target/python/requirements.txt"; then
    python3 -m venv --clear "$target/python"
    "$target/python/bin/pip" install --quiet --disable-pip-version-check -r "$here/python/requirements.txt"
    cp "$here/python/requirements.txt" "$target/python/"
fi

mkdir -p "$target/node"
if ! cmp -s "$here/node/package.json" "$target/node/installed.json"; then
    cp "$here/node/package.json" "$target/node/"
    npm install --prefix "$target/node" --silent --no-audit --no-fund --no-package-lock
    cp "$here/node/package.json" "$target/node/installed.json"
fi
# Node looks for modules beside the script that asks for them.
ln -sfn "$target/node/node_modules" "$here/node/node_modules"
