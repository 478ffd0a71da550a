#!/usr/bin/env bash
# make install puts everything under DESTDIR and PREFIX, another program can use the library from there, and
# make uninstall takes it all away.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need make make
need pkg-config pkg-config
build=$(dirname "$SDLAB")
[ -e "$build/flags" ] || fail "$build/flags is not there: was this built by make?"

# The same flags as this binary was built with, so that nothing is built again.
cc=$(cut -d' ' -f1 "$build/flags")
sanitizer=$(sed -n 's/.* -fsanitize=\([a-z,]*\).*/\1/p' "$build/flags")
werror=
! grep -q -- ' -Werror ' "$build/flags" || werror=1
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
case $build in
"$ROOT"/*) build=${build#"$ROOT"/} ;;
esac
dest=$TMP/root
make_it() {
  make -C "$ROOT" --no-print-directory "$1" BUILD="$build" CC="$cc" SANITIZER="$sanitizer" WERROR="$werror" \
    DESTDIR="$dest" PREFIX=/usr >"$TMP/make.out" 2>&1 || fail "make $1: $(cat "$TMP/make.out")"
}

make_it install
bin=$dest/usr/bin
run "$bin/sdlab" version
assert_eq 0 "$STATUS" 'exit status of the installed sdlab'
for name in $("$SDLAB" list --names); do
  assert_eq sdlab "$(readlink "$bin/$name")" "link $name"
done
run "$bin/loadbalancer" --help
assert_eq 0 "$STATUS" 'exit status of the installed loadbalancer --help'
for page in "$ROOT"/man/*.[1-8]; do
  [ -e "$page" ] || continue
  assert_same "$page" "$dest/usr/share/man/man${page##*.}/${page##*/}" 'man page'
done
for header in "$ROOT"/include/sdlab/*.h; do
  assert_same "$header" "$dest/usr/include/sdlab/${header##*/}" 'header'
done
bash -n "$dest/usr/share/bash-completion/completions/sdlab" || fail 'the completion is not a script'
for f in "$ROOT"/examples/*; do
  assert_same "$f" "$dest/usr/share/doc/sdlab/examples/${f##*/}" 'example'
  [ ! -x "$f" ] || [ -x "$dest/usr/share/doc/sdlab/examples/${f##*/}" ] || fail "$f is installed and cannot be run"
done
for f in "$ROOT"/applets/*/*.schema.json; do
  assert_same "$f" "$dest/usr/share/doc/sdlab/${f##*/}" 'schema'
done

cat >"$TMP/parse.c" <<'END'
#include <sdlab/http1.h>
#include <stdio.h>

int main(void)
{
	static const char in[] = "GET /a?b=c HTTP/1.1\r\nHost: example.test\r\n\r\n";
	static struct sd_http_head head;
	ssize_t n = sd_http_parse_request(in, sizeof in - 1, 0, NULL, &head);
	printf("%zd %.*s %.*s\n", n, (int)head.path.n, head.path.p, (int)head.host.n, head.host.p);
	return n == sizeof in - 1 ? 0 : 1;
}
END
flags=$(PKG_CONFIG_PATH=$dest/usr/lib/pkgconfig pkg-config --define-variable=prefix="$dest/usr" --cflags --libs sdlab) ||
  fail 'pkg-config does not find sdlab'
# shellcheck disable=SC2086 # a list of flags
"$cc" -o "$TMP/parse" "$TMP/parse.c" ${sanitizer:+-fsanitize=$sanitizer} $flags 2>"$TMP/cc.err" ||
  fail "a program with libsdlab does not build: $(cat "$TMP/cc.err")"
run "$TMP/parse"
assert_eq 0 "$STATUS" "exit status of a program with libsdlab: $ERR"
assert_eq '43 /a example.test' "$OUT" 'what it printed'

# The store, which needs other libraries, from C and from C++.
cat >"$TMP/store.c" <<'END'
#include <sdlab/kv.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct sd_kv *kv;
	struct sd_error e;
	size_t n = 0;
	char value[16];
	if (argc < 2 || sd_kv_open(argv[1], NULL, &kv, &e) || sd_kv_put(kv, sd_slice_of("user:1"), sd_slice_of("Alice"), &e) ||
	    sd_kv_get_into(kv, NULL, sd_slice_of("user:1"), value, sizeof(value), &n, &e))
		return 1;
	printf("%.*s\n", (int)n, value);
	return sd_kv_close(kv, &e) != SD_OK;
}
END
for language in c c++; do
  compiler=$cc
  [ "$language" = c ] || compiler=$(command -v c++) || continue
  # shellcheck disable=SC2086 # a list of flags
  "$compiler" -o "$TMP/store-$language" -x "$language" "$TMP/store.c" -x none ${sanitizer:+-fsanitize=$sanitizer} $flags 2>"$TMP/cc.err" ||
    fail "a program with a store does not build as $language: $(cat "$TMP/cc.err")"
  run "$TMP/store-$language" "$TMP/store-data-$language"
  assert_eq '0 Alice' "$STATUS $OUT" "a program with a store, as $language"
done

assert_eq "$("$SDLAB" version --short)" \
  "$(PKG_CONFIG_PATH=$dest/usr/lib/pkgconfig pkg-config --modversion sdlab)" 'version in sdlab.pc'

make_it uninstall
left=$(find "$dest" ! -type d)
assert_eq '' "$left" 'files left after make uninstall'
