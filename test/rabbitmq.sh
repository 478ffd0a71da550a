# shellcheck shell=bash
# Debian's rabbitmq-server for tests and measurements. Sourced after lib.sh.

# start_rabbitmq NAME [cores]: on a free port of loopback, data in TMP, as no service of the system; AT[NAME] is its port, and
# AT[NAME.http] that of its management when `plugins` is "management". PID[NAME] is the process that computes. Its port mapper is its own.
# RABBITMQ_CONF: more lines for its rabbitmq.conf.
declare -A AT=() EPMD=()
start_rabbitmq() {
  local name=$1 cores=${2:-} dir=$TMP/$1 epmd plugins=()
  AT[$name]=$(free_port)
  AT[$name.http]=$(free_port)
  epmd=$(free_port)
  mkdir -p "$dir"
  [ -z "${RABBITMQ_WITH_MANAGEMENT:-}" ] || plugins=(rabbitmq_management)
  printf '[%s].\n' "${plugins[*]}" >"$dir/plugins"
  printf 'listeners.tcp.default = 127.0.0.1:%s\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = %s\n' \
    "${AT[$name]}" "${AT[$name.http]}" >"$dir/rabbitmq.conf"
  [ "${#plugins[@]}" -gt 0 ] || sed -i '/^management/d' "$dir/rabbitmq.conf"
  printf '%s\n' "${RABBITMQ_CONF:-}" >>"$dir/rabbitmq.conf"
  start "$name.epmd" epmd -address 127.0.0.1 -port "$epmd"
  EPMD[$name]=$epmd
  restart_rabbitmq "$@"
}

# restart_rabbitmq NAME [cores]: again, after it was stopped, with what its folder has.
restart_rabbitmq() {
  local name=$1 cores=${2:-} dir=$TMP/$1 epmd=${EPMD[$1]}
  # As under systemd: the virtual machine takes the place of the script, so that its process id is the one known here.
  start "$name" env HOME="$dir" RUNNING_UNDER_SYSTEMD=1 RABBITMQ_NODENAME="sdlab-$epmd@localhost" RABBITMQ_MNESIA_BASE="$dir/db" \
    RABBITMQ_LOG_BASE="$dir/log" RABBITMQ_CONFIG_FILE="$dir/rabbitmq" RABBITMQ_ENABLED_PLUGINS_FILE="$dir/plugins" \
    RABBITMQ_PID_FILE="$dir/pid" ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$epmd" RABBITMQ_DIST_PORT="$(free_port)" \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="${cores:++S $cores:$cores}" /usr/lib/rabbitmq/bin/rabbitmq-server
  DEADLINE=$((DEADLINE + 60)) wait_port "$name" "${AT[$name]}"
  ! grep -q '^management' "$dir/rabbitmq.conf" || DEADLINE=$((DEADLINE + 60)) wait_port "$name" "${AT[$name.http]}"
}
