#!/usr/bin/env bash
# Installs Debian's ActiveMQ and RabbitMQ, which the tests beside this file start by themselves. Safe to run again.
set -euo pipefail
missing=()
[[ -f /usr/share/activemq/bin/activemq.jar ]] || missing+=(activemq)
[[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] || missing+=(rabbitmq-server)
if ((${#missing[@]})); then
    as_root=()
    ((EUID == 0)) || as_root=(sudo)
    "${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=600 update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}" >/dev/null
fi
