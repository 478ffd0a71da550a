# shellcheck shell=bash
# Configurations of other servers, set up for the same work as ours. Sourced after lib.sh. Each function writes one file.
#
# For costs to be compared: one thread, keep-alive on both sides, no access log, X-Forwarded-For added.

# nginx_head FILE DIR: what every nginx here needs to run in the foreground, in one process, inside DIR.
nginx_head() {
  mkdir -p "$2/tmp"
  cat >"$1" <<END
daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile $(ulimit -Hn);
pid $2/nginx.pid;
error_log $2/error.log;
events { worker_connections 12000; }
http {
  access_log off;
  default_type text/plain;
  client_body_temp_path $2/tmp;
  proxy_temp_path $2/tmp;
  fastcgi_temp_path $2/tmp;
  uwsgi_temp_path $2/tmp;
  scgi_temp_path $2/tmp;
  client_max_body_size 0;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  tcp_nodelay on;
END
}

# nginx_static FILE DIR BYTES PORT...: answers 200 with so many bytes.
nginx_static() {
  local file=$1 dir=$2 body port
  body=$(head -c "$3" /dev/zero | tr '\0' x)
  shift 3
  nginx_head "$file" "$dir"
  {
    echo '  server {'
    for port; do echo "    listen 127.0.0.1:$port backlog=4096;"; done
    echo "    location / { return 200 '$body'; }"
    echo '  }'
    echo '}'
  } >>"$file"
}

# nginx_files FILE DIR ROOT PORT: the files below a folder, compressed, without those that begin with a dot and without
# links that lead out.
nginx_files() {
  nginx_head "$1" "$2"
  cat >>"$1" <<END
  types { text/plain txt; text/html html; application/octet-stream bin; }
  sendfile on;
  gzip on;
  gzip_vary on;
  gzip_types text/plain;
  gzip_min_length 1000;
  server {
    listen 127.0.0.1:$4;
    root $3;
    disable_symlinks on from=\$document_root;
    location ~ /\.(?!well-known) { return 404; }
    location = /in.txt { disable_symlinks off; }
  }
}
END
}

# nginx_proxy FILE DIR PORT BACKENDPORT...; NGINX_HOST is what it sends as Host, else what the client sent.
nginx_proxy() {
  local file=$1 dir=$2 listen=$3 port
  shift 3
  nginx_head "$file" "$dir"
  {
    echo '  upstream pool {'
    for port; do echo "    server 127.0.0.1:$port max_fails=3 fail_timeout=1s;"; done
    cat <<END
    keepalive 512;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
  }
  server {
    listen 127.0.0.1:$listen backlog=4096;
    location / {
      proxy_pass http://pool;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host ${NGINX_HOST:-\$http_host};
      proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
      proxy_next_upstream error timeout;
    }
  }
}
END
  } >>"$file"
}

# haproxy_proxy FILE DIR PORT BACKENDPORT...
haproxy_proxy() {
  local file=$1 listen=$3 port n=0
  shift 3
  {
    cat <<END
global
  nbthread 1
  maxconn 12000
  no strict-limits
defaults
  mode http
  no log
  option http-keep-alive
  option forwardfor
  option redispatch 1
  http-reuse always
  retries 3
  retry-on conn-failure empty-response response-timeout
  backlog 4096
  timeout connect 5s
  timeout client 600s
  timeout server 60s
  timeout http-keep-alive 600s
frontend front
  bind 127.0.0.1:$listen
  default_backend pool
backend pool
  balance roundrobin
END
    for port; do
      n=$((n + 1))
      echo "  server s$n 127.0.0.1:$port check inter ${HAPROXY_INTER:-200ms} fall 3 rise 2"
    done
  } >"$file"
}

# start_nginx NAME static BYTES | start_nginx NAME files ROOT | start_nginx NAME proxy BACKENDPORT...; start_haproxy NAME BACKENDPORT...
# PORT is where it answers. PIN (a list) is put in front of the command. A port that somebody took meanwhile is
# given up for another.
PIN=()
start_nginx() {
  local name=$1 kind=$2 try
  shift 2
  for try in 1 2 3; do
    PORT=$(free_port)
    mkdir -p "$TMP/$name.d"
    if [ "$kind" = static ]; then
      nginx_static "$TMP/$name.conf" "$TMP/$name.d" "$1" "$PORT"
    elif [ "$kind" = files ]; then
      nginx_files "$TMP/$name.conf" "$TMP/$name.d" "$1" "$PORT"
    else
      nginx_proxy "$TMP/$name.conf" "$TMP/$name.d" "$PORT" "$@"
    fi
    start "$name" "${PIN[@]}" nginx -p "$TMP/$name.d" -c "$TMP/$name.conf" -e "$TMP/$name.d/error.log"
    wait_peer "$name" "$PORT" && return 0
  done
  fail "$name did not start in $try tries"
}

start_haproxy() {
  local name=$1 try
  shift
  for try in 1 2 3; do
    PORT=$(free_port)
    haproxy_proxy "$TMP/$name.conf" - "$PORT" "$@"
    start "$name" "${PIN[@]}" haproxy -db -f "$TMP/$name.conf"
    wait_peer "$name" "$PORT" && return 0
  done
  fail "$name did not start in $try tries"
}

# wait_peer NAME PORT: until it listens; 1 when it ended instead.
wait_peer() {
  local end=$((SECONDS + DEADLINE + 1))
  until listener "$2" "${PID[$1]}" >/dev/null; do
    alive "$1" || return 1
    [ "$SECONDS" -lt "$end" ] || fail "waited ${DEADLINE} s for $1 to listen on port $2"
    sleep 0.02
  done
}
