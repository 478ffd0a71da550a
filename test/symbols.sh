#!/bin/sh
# Nothing outside src/world calls the kernel: what the compiled objects ask of the C library is compared with a list of
# functions that only compute, or that write to a stream somebody passed in.
#
#   test/symbols.sh BUILD-FOLDER
#
# Libraries that insist on calling the kernel themselves, and why they may:
#
#   libevent   waits for descriptors; only src/world uses it
#   OpenSSL    asks the kernel for chance in handshakes (getrandom); only src/net/tls*.c uses it, with bytes, files and
#              time handed in
#
#   SQLite     opens, locks and syncs its file; only src/disk/sql_sqlite.c uses it, on helper threads
#   maxminddb  maps the file of countries, once, at start; only src/disk/geo.c uses it
#   libpq      connects, reads and writes its sockets; src/disk/sql_pq.c loads it (dlopen) when a postgres:// URL is used
#
# cJSON, libyaml, zlib, zstd, libidn2 and libqrencode work on memory.
set -u
build=${1:?usage: test/symbols.sh BUILD-FOLDER}
cd "$(dirname "$0")/.." || exit 1

pure='abort aligned_alloc asprintf calloc environ free malloc malloc_usable_size realloc reallocarray strdup strndup
  memchr memcmp memcpy memmem memmove memrchr memset explicit_bzero
  strcasecmp strcasestr strchr strchrnul strcmp strcpy strcspn strlen strncasecmp strncmp strncpy strnlen strpbrk strrchr
  strspn strstr strtod strtold strtok_r strtol strtoll strtoul strtoull bcmp stpcpy
  snprintf vsnprintf sscanf vasprintf qsort qsort_r bsearch toupper tolower
  fclose ferror fflush fprintf fputc fputs fwrite open_memstream putc stderr stdout vfprintf
  ceil cos exp exp2 expm1 floor floorf fmax fmin fmod ldexp frexp log log10 log1p log2 lround llround pow round sin sincos sqrt trunc nearbyint rint
  inet_ntop inet_pton gmtime_r timegm regcomp regerror regexec regfree
  __asprintf_chk __explicit_bzero_chk __ctype_b_loc __ctype_tolower_loc __ctype_toupper_loc __fprintf_chk __isoc99_sscanf __memcpy_chk
  __memset_chk __memmove_chk __snprintf_chk __stack_chk_fail __strncpy_chk __strcat_chk __vasprintf_chk __vfprintf_chk
  __vsnprintf_chk __udivmodti4 __udivti3 __umodti3 __divti3 __modti3 __multi3 _GLOBAL_OFFSET_TABLE_ __errno_location
  __cpu_model __cpu_indicator_init __tls_get_addr __popcountdi2'

# impure: reads "OBJECT: U NAME" lines, prints those whose name is neither ours, nor a sanitizer's, nor in the list.
impure() {
  awk -v list="$pure" '
    BEGIN { n = split(list, names); for (i = 1; i <= n; i++) ok[names[i]] = 1 }
    { name = $NF; sub(/@.*/, "", name) }
    name in ok || /^$/ { next }
    /\/src\/net\/tls[a-z_]*\.o:/ && name ~ /^(SSL|X509|X509V3|EVP|BIO|PEM|ERR|ASN1|GENERAL_NAMES|OPENSSL|OSSL|BN|TLS|SHA256)_?/ { next }
    /\/src\/disk\/sql_sqlite\.o:/ && name ~ /^sqlite3_/ { next }
    /\/src\/disk\/geo\.o:/ && name ~ /^MMDB_/ { next }
    /\/src\/disk\/sql_pq\.o:/ && name ~ /^dl(open|sym|close|error)$/ { next }
    /\/applets\/shortener\/(http\/sh_qr|client\/sh_cli_qr)\.o:/ && name ~ /^QRcode_/ { next }
    /\/src\/net\/idn\.o:/ && name ~ /^idn2_/ { next }
    /\/src\/net\/http_coder\.o:/ && name ~ /^(deflate|ZSTD_)/ { next }
    /\/src\/core\/lsm_zstd\.o:/ && name ~ /^ZSTD_/ { next }
    name ~ /^(__(asan|ubsan|tsan|lsan|sanitizer|msan|sancov)_|cJSON_|yaml_|sd_)/ { next }
    { print }'
}

objects=$(find "$build/obj/src" "$build/obj/applets" -name '*.o' ! -path '*/src/world/*' ! -path '*/src/main.o')
[ -n "$objects" ] || {
  echo "test/symbols.sh: no objects below $build/obj" >&2
  exit 1
}
# What the objects define for each other is not asked of anybody.
# shellcheck disable=SC2086 # a list of names without blanks
found=$({
  nm -A --defined-only $objects 2>/dev/null | awk '{ print "D", $NF }'
  nm -A -u $objects 2>/dev/null
} | awk '$1 == "D" { ours[$2] = 1; next } !($NF in ours)' | impure)

# A list that lets everything through proves nothing.
[ -n "$(printf 'x.o: U clock_gettime@GLIBC_2.17\n' | impure)" ] || {
  echo 'test/symbols.sh: clock_gettime was let through' >&2
  exit 1
}
[ -z "$found" ] || {
  printf '%s\n' "$found" | sed 's/$/   <- only src\/world may ask this of the C library/'
  exit 1
}
echo "symbols: $(printf '%s\n' "$objects" | wc -l) objects ask nothing of the kernel"
