#!/bin/sh
# Rules of the house that a compiler does not know. Prints file:line: what is wrong; exit status 1 when something is.
#
#   test/lint.sh [--full|--quick]
#
# --quick needs only sh and awk (and shellcheck where installed): rooms, calls to the kernel outside src/world,
# unbounded functions of the C library, marks of unfinished work. --full (the default) adds cppcheck and clang-tidy
# where installed; these need a built tree, because they read compile_commands.json.
set -u
cd "$(dirname "$0")/.." || exit 1

mode=${1:---full}
case $mode in
--full | --quick) ;;
*)
  echo 'usage: test/lint.sh [--full|--quick]' >&2
  exit 2
  ;;
esac

found=$(mktemp) || exit 1
trap 'rm -f "$found"' EXIT

house=$(find src applets include -name '*.[ch]' 2>/dev/null | sort)
scripts=$(find .ci test examples -type f 2>/dev/null | sort | while read -r f; do
  case $(head -c 64 "$f" | head -n 1 | tr -d '\0') in
  '#!'*sh | '# shellcheck shell='*) echo "$f" ;;
  esac
done)

# ---- rooms: which way #include may point ----
# Quoted names are looked for as the compiler does: beside the file, then in src, then in include.
# shellcheck disable=SC2086 # lists of names without blanks
[ -z "$house" ] || awk '
  function room(path,   part) {
    split(path, part, "/")
    if (part[1] == "applets") return "applets/" part[2]
    if (part[1] == "include") return "include"
    if (path == "src/main.c") return "main"
    return part[2]
  }
  function allowed(from, to) {
    if (from == to || to == "include") return 1
    if (from ~ /^applets\//) return to !~ /^applets\//
    if (from == "main") return to !~ /^applets\//
    if (from == "app") return to == "net" || to == "disk" || to == "world" || to == "core"
    if (from == "net" || from == "disk") return to == "world" || to == "core"
    if (from == "world") return to == "core"
    return 0
  }
  function clean(path) {
    while (sub(/\/\.\//, "/", path) || sub(/[^\/.]+\/\.\.\//, "", path)) ;
    return path
  }
  BEGIN {
    for (i = 1; i < ARGC; i++) exists[ARGV[i]] = 1
  }
  /^[ \t]*#[ \t]*include[ \t]*"/ {
    name = $0
    sub(/^[^"]*"/, "", name); sub(/".*/, "", name)
    dir = FILENAME
    sub(/[^\/]*$/, "", dir)
    if (clean(dir name) in exists) target = clean(dir name)
    else if (("src/" name) in exists) target = "src/" name
    else if (("include/" name) in exists) target = "include/" name
    else next
    if (!allowed(room(FILENAME), room(target)))
      printf "%s:%d: %s must not include %s (%s)\n", FILENAME, FNR, room(FILENAME), room(target), name
  }
  /^[ \t]*#[ \t]*include[ \t]*<(event2\/|sys\/socket|sys\/epoll|pthread|poll\.h|sys\/wait)/ {
    if (room(FILENAME) != "world")
      printf "%s:%d: only src/world may include %s\n", FILENAME, FNR, $NF
  }' $house >>"$found"

# ---- calls ----
# The name of a call in code: comments, strings and characters are taken out first, and a call through a pointer in
# a struct (ops->read(...)) is none of these.
# shellcheck disable=SC2016 # a program for awk
calls='
  function strip(line,   out, at, c, quote) {
    out = ""
    while (line != "") {
      if (in_comment) {
        at = index(line, "*/")
        if (!at) return out
        line = substr(line, at + 2)
        in_comment = 0
        out = out " "
        continue
      }
      if (!match(line, /["\047]|\/\*|\/\//)) return out line
      c = substr(line, RSTART, 1)
      out = out substr(line, 1, RSTART - 1)
      if (c == "/") {
        if (substr(line, RSTART + 1, 1) == "/") return out
        line = substr(line, RSTART + 2)
        in_comment = 1
        continue
      }
      quote = c
      line = substr(line, RSTART + 1)
      while (line != "" && substr(line, 1, 1) != quote)
        line = substr(line, substr(line, 1, 1) == "\\" ? 3 : 2)
      line = substr(line, 2)
      out = out "0"
    }
    return out
  }
  BEGIN {
    n = split(names, list, " ")
    for (i = 1; i <= n; i++) bad[list[i]] = 1
  }
  FNR == 1 { in_comment = 0 }
  {
    rest = strip($0)
    if (rest ~ /^[ \t]*#[ \t]*include/) next
    before = ""
    while (match(rest, /[A-Za-z_][A-Za-z0-9_]*/)) {
      name = substr(rest, RSTART, RLENGTH)
      before = substr(rest, 1, RSTART - 1)
      rest = substr(rest, RSTART + RLENGTH)
      if (!(name in bad) || rest !~ /^[ \t]*\(/) continue
      sub(/[ \t]+$/, "", before)
      if (before ~ /(\.|->)$/) continue
      printf "%s:%d: %s: %s\n", FILENAME, FNR, name, why
    }
  }'

kernel='socket socketpair bind listen accept accept4 connect shutdown send sendto sendmsg recv recvfrom recvmsg
  setsockopt getsockopt getsockname getpeername getaddrinfo gethostbyname poll ppoll select pselect epoll_create
  epoll_create1 epoll_ctl epoll_wait eventfd timerfd_create signalfd inotify_init open openat creat close read pread
  readv write pwrite writev pipe pipe2 dup dup2 fcntl ioctl isatty fsync fdatasync truncate ftruncate fallocate lseek
  rename unlink mkdir rmdir link symlink readlink stat fstat lstat access chmod opendir readdir mmap munmap fopen fdopen
  freopen popen system tmpfile mkstemp clock_gettime gettimeofday time clock localtime localtime_r nanosleep usleep sleep
  rand rand_r random srand srandom drand48 arc4random getrandom getentropy getenv secure_getenv setenv putenv fork vfork
  execl execlp execle execv execvp execvpe execve posix_spawn posix_spawnp wait waitpid waitid kill raise signal sigaction
  sigprocmask pthread_sigmask pthread_create pthread_join pthread_detach pthread_kill pthread_mutex_lock pthread_cond_wait
  getpid getppid getuid geteuid setuid setgid setrlimit getrlimit getrusage sysconf sched_yield syscall _exit'
kernel=$(printf %s "$kernel" | tr -s '\n ' ' ')
pure=$(printf '%s\n' "$house" | grep -v '^src/world/')
# shellcheck disable=SC2086 # lists of names without blanks
[ -z "$pure" ] || awk -v names="$kernel" -v why='only src/world may call the kernel' "$calls" $pure >>"$found"

unbounded='strcpy strcat stpcpy sprintf vsprintf gets atoi atol atoll atof strtok alloca'
# shellcheck disable=SC2086 # lists of names without blanks
[ -z "$house" ] || awk -v names="$unbounded" -v why='does not know where its buffer or number ends' "$calls" \
  $house >>"$found"

# ---- unfinished ----
find Makefile .ci src applets include test examples man -type f ! -path '*/corpus/*' -exec \
  grep -nE '(^|[^A-Za-z0-9_])(TO''DO|FIX''ME)([^A-Za-z0-9_]|$)' /dev/null {} + 2>/dev/null | sed 's/$/   <- unfinished/' >>"$found"

# ---- other people's eyes ----
# In CI it takes its time once, with --full.
if command -v shellcheck >/dev/null 2>&1 && { [ -z "${CI:-}" ] || [ "$mode" = --full ]; }; then
  # shellcheck disable=SC2086 # a list of names without blanks
  printf '%s\n' $scripts | xargs -P 2 -n 6 shellcheck -x -P SCRIPTDIR -f gcc >>"$found" 2>&1
fi

if [ "$mode" = --full ]; then
  commands=${COMPILE_COMMANDS:-.} # the folder that has the list: another build may write the usual one meanwhile
  sources=$(find src applets -name '*.c' 2>/dev/null | sort)
  if ! command -v cppcheck >/dev/null 2>&1; then
    echo 'skip: needs package cppcheck'
  elif [ -n "$sources" ]; then
    # shellcheck disable=SC2086 # a list of names without blanks
    cppcheck -q -j 2 --std=c11 --language=c --enable=warning,performance,portability --inline-suppr \
      --suppress=missingInclude --suppress=missingIncludeSystem --suppress=unmatchedSuppression --suppress=pointerSize \
      --template='{file}:{line}: {message} ({id})' -Iinclude -Isrc -D__linux__ -D__GNUC__ $sources >>"$found" 2>&1
  fi
  if ! command -v clang-tidy >/dev/null 2>&1; then
    echo 'skip: needs package clang-tidy'
  elif [ ! -e "$commands/compile_commands.json" ]; then
    echo 'skip: clang-tidy reads compile_commands.json; run make first'
  elif [ -n "$sources" ]; then
    checks='-*,clang-analyzer-*,-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling'
    checks="$checks,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-narrowing-conversions"
    checks="$checks,-bugprone-implicit-widening-of-multiplication-result,-bugprone-reserved-identifier"
    checks="$checks,-bugprone-assignment-in-if-condition,-bugprone-branch-clone,-bugprone-sizeof-expression"
    # Links inside of what they link, and owners that free in callbacks, are beyond it: the address sanitizer judges these.
    checks="$checks,-clang-analyzer-unix.Malloc"
    # Wrong about va_start in this compiler, and about copies into buffers that carry a length.
    checks="$checks,-clang-analyzer-valist.Uninitialized,-bugprone-not-null-terminated-result"
    checks="$checks,-bugprone-macro-parentheses,cert-err34-c"
    # How many states of a function the analyzer looks at: a tenth of what it does unasked finds nearly all of it in an eighth
    # of the time. LINT_NODES=225000 is the whole.
    printf '%s\n' "$sources" | xargs -P 2 -n 4 clang-tidy -p "$commands" --quiet --checks="$checks" \
      --extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang --extra-arg="max-nodes=${LINT_NODES:-22500}" 2>/dev/null |
      grep -E '^[^ ].*: (warning|error): ' | sed "s|^$PWD/||" | sort -u >>"$found"
  fi
fi

if [ -s "$found" ]; then
  cat "$found"
  echo "lint: $(wc -l <"$found") found"
  exit 1
fi
echo 'lint: nothing found'
