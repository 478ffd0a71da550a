# shellcheck shell=bash
# What comparisons have in common: the head of the raw figures, and tables from them. Sourced after lib.sh.
#
# Raw figures are CSV, lines of # first. A row is one run of one program:
#
#   what,connections,round,program,requests,seconds,requests_per_s,cpu_us,cpu_us_per_request,errors[,more]

# take_options NAMES QUICK "$@": the program into bin, and each --NAME VALUE into the variable of that name; --quick sets those of QUICK,
# NAME=VALUE each.
take_options() {
  local names=" $1 " quick=$2 name
  shift 2
  [ $# -gt 0 ] || usage
  # shellcheck disable=SC2034 # for the scripts
  bin=$1
  shift
  while [ $# -gt 0 ]; do
    if [ "$1" = --quick ]; then
      for name in $quick; do printf -v "${name%%=*}" %s "${name#*=}"; done
      shift
      continue
    fi
    name=${1#--}
    [[ $# -ge 2 && $1 = --* && $names = *" $name "* ]] || usage
    printf -v "$name" %s "$2"
    shift 2
  done
}

version_of() {
  case $1 in
  sdlab) "$SDLAB" version --short ;;
  nginx) nginx -v 2>&1 | sed 's/.*nginx\///; s/ .*//' ;;
  haproxy) haproxy -v | sed -n '1s/^[^ ]* version \([^ ]*\).*/\1/p' ;;
  wrk) wrk -v 2>&1 | sed -n '1s/^wrk \([^ ]*\).*/\1/p' ;;
  ab) ab -V | sed -n '1s/.*Version \([^ ]*\).*/\1/p' ;;
  h2load) h2load --version | sed 's/.*nghttp2\///' ;;
  hey) dpkg-query -W -f '${Version}' hey 2>/dev/null || echo unknown ;; # it does not say itself
  autocannon) sed -n 's/^ *"version": "\(.*\)".*/\1/p' "$NPM_MODULES/autocannon/package.json" ;;
  esac
}

# heading PROGRAM...
heading() {
  local program
  # shellcheck disable=SC2154 # what was asked for: in the scripts
  local asked="$rounds of $seconds s; answers of $body_bytes bytes"
  echo "# machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs," \
    "$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)"
  echo "# kernel: $(uname -sr)"
  for program; do echo "# $program: $(version_of "$program")"; done
  echo "# commit: $(git -C "$ROOT" describe --always --dirty 2>/dev/null || echo unknown)"
  echo "# time: $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  echo "# rounds: $asked"
}

# Sorts list, which has n values, and returns the one in the middle.
# shellcheck disable=SC2034 # for the scripts too
awk_median='
    function median(list, n,   i, j, t) {
      for (i = 2; i <= n; i++)
        for (j = i; j > 1 && list[j - 1] > list[j]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
      return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
    }'

# print_cost CSV OURS: the ratio is taken within a round.
print_cost() {
  awk -F, -v ours="$2" "$awk_median"'
    /^#/ || $1 == "what" { next }
    {
      key = $1 SUBSEP $2
      if (!(key in seen)) { seen[key] = 1; keys[++nkeys] = key }
      if (!($4 in known)) { known[$4] = 1; names[++nnames] = $4 }
      us[key, $4, $3] = $9
      bad[key, $4] += $10
      if ($3 > last[key]) last[key] = $3
    }
    END {
      printf "CPU microseconds a request, median of the rounds; ratio = %s / peer, round by round\n", ours
      printf "%-8s %11s %10s  %-10s %10s   %s\n", "what", "connections", ours, "peer", "of peer", "ratio [min..max]"
      for (k = 1; k <= nkeys; k++) for (p = 1; p <= nnames; p++) {
        key = keys[k]; peer = names[p]
        if (peer == ours || !((key, peer, 1) in us) || !((key, ours, 1) in us)) continue
        n = 0
        for (r = 1; r <= last[key]; r++) {
          n++
          a[n] = us[key, ours, r]; b[n] = us[key, peer, r]; q[n] = a[n] / b[n]
        }
        split(key, part, SUBSEP)
        ma = median(a, n); mb = median(b, n); mq = median(q, n)
        printf "%-8s %11d %10.2f  %-10s %10.2f   %.2f [%.2f..%.2f]", part[1], part[2], ma, peer, mb, mq, q[1], q[n]
        if (bad[key, ours] + bad[key, peer]) printf "   errors: %s %d, %s %d", ours, bad[key, ours], peer, bad[key, peer]
        printf "\n"
      }
    }' "$1"
}
