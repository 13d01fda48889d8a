#!/usr/bin/env bash
# Starts Debian's RabbitMQ (apt-get install rabbitmq-server) with STOMP on 127.0.0.1:$1, in the foreground; its data in
# folder $2. AMQP and the distribution of Erlang, without which it does not start, are on the free ports $3 and $4.
set -eu
base=$2/rabbitmq
mkdir -p "$base/mnesia" "$base/log" "$base/home"
cat >"$base/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$3
stomp.listeners.tcp.1 = 127.0.0.1:$1
distribution.listener.interface = 127.0.0.1
CONF
echo '[rabbitmq_stomp].' >"$base/enabled_plugins"
chmod -R a+rwX "$2"
export HOME=$base/home RABBITMQ_NODENAME="stompbox$1@localhost" RABBITMQ_MNESIA_BASE=$base/mnesia
export RABBITMQ_LOG_BASE=$base/log RABBITMQ_CONFIG_FILE=$base/rabbitmq RABBITMQ_PID_FILE=$base/pid
export RABBITMQ_ENABLED_PLUGINS_FILE=$base/enabled_plugins RABBITMQ_DIST_PORT=$4 ERL_EPMD_ADDRESS=127.0.0.1
exec /usr/lib/rabbitmq/bin/rabbitmq-server
