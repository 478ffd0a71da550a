# sdlab: one binary with the parts large systems are made of. `make help` lists the targets.

# ---- what a person may set ----
PREFIX    ?= /usr/local
DESTDIR   ?=
CC        ?= gcc
SANITIZER ?=
WERROR    ?= $(if $(CI),1,)
V         ?=
ifeq ($(origin CC),default)
CC := gcc
endif

# ---- flags ----
BUILD := build/$(or $(SANITIZER),plain)
PKGS  := libevent_core yaml-0.1 libcjson libssl libcrypto zlib libzstd sqlite3 libidn2 libqrencode libmaxminddb

WARN := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wpointer-arith -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Wwrite-strings -Wundef -Wformat=2 -Wno-format-nonliteral -Wno-missing-field-initializers
HARDEN := -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection
LDHARDEN := -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed
ifeq ($(SANITIZER),)
OPT := -O2 -g
DEFS := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
else
# one of address, undefined, thread, or a list of them that go together: address,undefined
OPT := -O1 -g1 -fno-omit-frame-pointer -fsanitize=$(SANITIZER) -fno-sanitize-recover=all
DEFS := -DSD_SANITIZED=1
LDHARDEN += -fsanitize=$(SANITIZER)
endif
ifneq ($(WERROR),)
WARN += -Werror
endif
CFLAGS  ?=
LDFLAGS ?=
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -Iinclude -Isrc -I$(BUILD)/gen $(DEFS) $(WARN) $(HARDEN) $(OPT) -pthread \
	$(PKG_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = $(LDHARDEN) -pthread $(LDFLAGS)
ifneq ($(filter-out help clean deps deps-all,$(or $(MAKECMDGOALS),all)),)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null || echo -levent_core -lyaml -lcjson -lssl -lcrypto -lz -lzstd -lsqlite3 -lidn2 -lqrencode -lmaxminddb)
endif

# ---- what there is ----
LIB_SRC    := $(sort $(wildcard src/*/*.c))
APPLET_DIR := $(sort $(wildcard applets/*/))
APPLETS    := $(patsubst applets/%/,%,$(APPLET_DIR))
APPLET_SRC := $(sort $(wildcard applets/*/*.c applets/*/*/*.c))
MAIN_SRC   := src/main.c
UNIT_SRC   := $(sort $(wildcard test/unit/test_*.c))
SIM_SRC    := $(sort $(wildcard test/sim/sim_*.c))
SIM_HELP   := $(filter-out $(SIM_SRC),$(wildcard test/sim/*.c))
FUZZ_SRC   := $(sort $(wildcard test/fuzz/fuzz_*.c))
obj        = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_OBJ    := $(call obj,$(LIB_SRC))
# What an applet's tests link against: everything but main.
APP_OBJ    := $(call obj,$(APPLET_SRC)) $(BUILD)/obj/gen/applets.o $(BUILD)/obj/gen/pages.o
PAGE_FILES := $(sort $(wildcard applets/*/*/page/*))
BIN        := $(BUILD)/sdlab
LIB        := $(BUILD)/libsdlab.a
# The same as an archive, so that a test is linked with what it uses only.
APPS       := $(BUILD)/applets.a
TEST_BIN   := $(patsubst test/%.c,$(BUILD)/%,$(UNIT_SRC) $(SIM_SRC))

# All processors, unless somebody said otherwise.
ifeq ($(MAKELEVEL)$(filter -j%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

.PHONY: all check demo deps deps-all bench sim fuzz lint install uninstall clean help FORCE
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

all: $(BIN) compile_commands.json ## build sdlab (quiet; V=1 shows the commands)

demo: deps ## the main job: short links behind a load balancer, real traffic, a shortener and the cache killed
	$(Q)$(MAKE) --no-print-directory all
	$(Q)examples/demo.sh $(BIN)

check: deps ## all tests; those that need real servers or clients run where these are installed
	$(Q)$(MAKE) --no-print-directory all test-bins
	$(Q)test/run.sh $(BIN)

deps: ## install what the build and `make check` need (apt-get)
	$(Q).ci/deps build

deps-all: ## install also the real servers, clients and tools that some tests and benchmarks use
	$(Q).ci/deps all

bench: deps ## cost beside what else is installed (HAProxy, nginx, Redis; wrk, ab, ...): tables, raw figures in bench-results/
	$(Q)$(MAKE) --no-print-directory all
	$(Q)test/bench/run.sh $(BIN)
	$(Q)test/bench/edge.sh $(BIN)
	$(Q)test/bench/load.sh $(BIN)
	$(Q)test/bench/sim.sh
	$(Q)test/bench/ring.sh
	$(Q)test/bench/pool.sh
	$(Q)test/bench/breaker.sh
	$(Q)test/bench/wal.sh $(BIN)
	$(Q)test/bench/cache.sh $(BIN)
	$(Q)test/bench/kv_server.sh $(BIN)
	$(Q)test/bench/cache_threads.sh $(BIN)
	$(Q)test/bench/cache_hits.sh $(BIN)
	$(Q)test/bench/ratelimit.sh $(BIN)
	$(Q)test/bench/limit.sh $(BIN)
	$(Q)test/bench/mq.sh $(BIN)
	$(Q)test/bench/shortener.sh $(BIN)
	$(Q)test/bench/kv.sh $(BIN)

# SEEDS=n for so many of each scenario, from SEED_FROM on; SEED=k for one; ONLY=name for scenarios with this in their name.
sim: deps ## seeded simulations (SEEDS=200, SEED=k for one, ONLY=name)
	$(Q)for n in 'SEEDS=$(SEEDS)' 'SEED=$(SEED)' 'SEED_FROM=$(SEED_FROM)'; do \
		case $$n in *=*[!0-9]*|SEEDS=0|SEED=0) \
			echo "make sim: expected a number from 1, found $$n" >&2; exit 2;; esac; done
	$(Q)$(MAKE) --no-print-directory all test-bins
	$(Q)SEEDS=$(or $(SEEDS),200) SEED_FROM=$(SEED_FROM) SEED=$(SEED) ONLY=$(ONLY) TEST_TIMEOUT=$(or $(TEST_TIMEOUT),3600) \
		test/run.sh --only sim $(BIN)

fuzz: deps ## each fuzz target for FUZZ_SECONDS (60) from its corpus (needs clang)
	$(Q)test/fuzz/run.sh $(FUZZ_SRC)

lint: ## rooms, forbidden calls, and clang-tidy and cppcheck where installed
	$(Q)test/lint.sh

test-bins: $(TEST_BIN)
.PHONY: test-bins

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F'\t' '{ printf "  make %-10s %s\n", $$1, $$2 }'
	@printf '\n  %s\n' 'variables: V=1  SANITIZER=address|undefined|thread  CC=clang  WERROR=1  PREFIX= DESTDIR='

# ---- compiling ----
# Changed flags rebuild: the stamp is rewritten only when it differs.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(PKG_LIBS)' | cmp -s - $@ || \
		printf '%s\n' '$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(PKG_LIBS)' > $@

# The list of applets, from the folders. A folder without its struct fails to link.
$(BUILD)/gen/applets.c: FORCE
	@mkdir -p $(@D)
	@{ printf '#include "app/applet.h"\n'; \
	   for a in $(APPLETS); do printf 'extern const struct sd_applet sd_applet_%s;\n' $$a; done; \
	   printf 'const struct sd_applet *const sd_applets[] = {\n'; \
	   for a in $(APPLETS); do printf '\t&sd_applet_%s,\n' $$a; done; printf '\t0,\n};\n'; } > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# Files that parts answer with, as they are (src/app/pages.h).
$(BUILD)/gen/pages.c: $(PAGE_FILES) Makefile
	@mkdir -p $(@D)
	@{ printf '#include "app/pages.h"\n'; n=0; \
	   for f in $(PAGE_FILES); do n=$$((n + 1)); printf 'static const unsigned char file%d[] = {\n' $$n; \
		od -An -v -tu1 $$f | sed 's/[0-9][0-9]*/&,/g'; printf '};\n'; done; \
	   printf 'const struct sd_page_file sd_page_files[] = {\n'; n=0; \
	   for f in $(PAGE_FILES); do n=$$((n + 1)); printf '\t{"%s", file%d, sizeof(file%d)},\n' $$f $$n $$n; done; \
	   printf '\t{0},\n};\n'; } > $@

define compile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@
	@printf '{"directory":"%s","file":"%s","command":"%s"},\n' '$(CURDIR)' '$<' \
		'$(subst ",\\",$(CC) $(ALL_CFLAGS) -c $<)' > $@.json
endef

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	$(compile)
$(BUILD)/obj/gen/%.o: $(BUILD)/gen/%.c $(BUILD)/flags
	$(compile)

# Appended, not replaced: two members may have the same name.
$(APPS): $(APP_OBJ)
$(LIB): $(LIB_OBJ)
$(APPS) $(LIB):
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) qcs $@ $^

$(BIN): $(call obj,$(MAIN_SRC)) $(APP_OBJ) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(PKG_LIBS) -lm

compile_commands.json: $(BIN)
	@{ printf '[\n'; cat $$(find $(BUILD)/obj -name '*.o.json') | sed '$$s/,$$//'; printf ']\n'; } > $@

CHECK_LIBS = $(shell pkg-config --libs check 2>/dev/null || echo -lcheck -lsubunit -lm -lrt -lpthread)
ALLOC_BIN := $(BUILD)/sim/sim_alloc
PLAIN_BIN := $(filter-out $(ALLOC_BIN),$(TEST_BIN))
$(filter $(BUILD)/sim/%,$(PLAIN_BIN)): $(call obj,$(SIM_HELP))
$(PLAIN_BIN): $(BUILD)/%: $(BUILD)/obj/test/%.o $(APPS) $(LIB)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(WRAP) -o $@ $(filter %.o,$^) -Wl,--start-group $(APPS) $(LIB) -Wl,--end-group \
		$(PKG_LIBS) $(CHECK_LIBS) -lm
# Its control does without checksums.
$(BUILD)/sim/sim_kv: WRAP := -Wl,--wrap=sd_crc32c
# Of a file that is cut at the worst moment.
$(BUILD)/unit/test_file: WRAP := -Wl,--wrap=lseek
.PRECIOUS: $(BUILD)/obj/test/%.o

# The program that lets memory run out links objects whose allocations can be made to fail (test/sim/alloc.h).
ALLOC_LEFT := src/world/% src/core/timers.c
ALLOC_OBJ  := $(patsubst $(BUILD)/obj/%,$(BUILD)/alloc/%,$(call obj,$(filter-out $(ALLOC_LEFT),$(LIB_SRC))) $(APP_OBJ))
$(BUILD)/alloc/%.o: $(BUILD)/obj/%.o test/sim/alloc.syms
	@mkdir -p $(@D)
	$(Q)objcopy --redefine-syms=test/sim/alloc.syms $< $@
$(ALLOC_BIN): $(BUILD)/obj/test/sim/sim_alloc.o $(call obj,$(SIM_HELP)) $(ALLOC_OBJ) \
		$(call obj,$(filter $(ALLOC_LEFT),$(LIB_SRC)))
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(PKG_LIBS) $(CHECK_LIBS) -lm

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

# ---- installing ----
MAN1 := $(wildcard man/*.1)
MAN3 := $(wildcard man/*.3)
MAN5 := $(wildcard man/*.5)
install: all ## binary, a symlink an applet and alias, man pages, headers, library, completion
	$(Q)install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include/sdlab \
		$(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man3 \
		$(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/doc/sdlab/examples
	$(Q)install -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/sdlab
	$(Q)for n in $$($(BIN) list --names); do ln -sf sdlab $(DESTDIR)$(PREFIX)/bin/$$n; done
	$(Q)install -m 644 $(LIB) $(DESTDIR)$(PREFIX)/lib/libsdlab.a
	$(Q)install -m 644 include/sdlab/*.h $(DESTDIR)$(PREFIX)/include/sdlab
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'Name: sdlab' 'Description: parts that large systems are made of' \
		"Version: $$($(BIN) version --short)" 'Requires: $(PKGS)' 'Cflags: -I$${prefix}/include' \
		'Libs: -L$${prefix}/lib -lsdlab -pthread -lm' \
		> $(DESTDIR)$(PREFIX)/lib/pkgconfig/sdlab.pc
	$(Q)$(if $(MAN1),install -m 644 $(MAN1) $(DESTDIR)$(PREFIX)/share/man/man1)
	$(Q)$(if $(MAN3),install -m 644 $(MAN3) $(DESTDIR)$(PREFIX)/share/man/man3)
	$(Q)$(if $(MAN5),install -m 644 $(MAN5) $(DESTDIR)$(PREFIX)/share/man/man5)
	$(Q)$(BIN) completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/sdlab
	$(Q)install -m 644 $(wildcard examples/*.yaml examples/*.json examples/*.txt) \
		$(DESTDIR)$(PREFIX)/share/doc/sdlab/examples
	$(Q)install -m 755 $(wildcard examples/*.sh) $(DESTDIR)$(PREFIX)/share/doc/sdlab/examples
	$(Q)install -m 644 $(wildcard applets/*/*.schema.json) $(DESTDIR)$(PREFIX)/share/doc/sdlab
	@printf '  installed under %s; try: sdlab list\n' '$(DESTDIR)$(PREFIX)'

uninstall: ## take away what install put there
	$(Q)for n in $$($(DESTDIR)$(PREFIX)/bin/sdlab list --names 2>/dev/null); do \
		l=$(DESTDIR)$(PREFIX)/bin/$$n; [ "$$(readlink $$l)" = sdlab ] && rm -f $$l; done; true
	$(Q)rm -f $(DESTDIR)$(PREFIX)/bin/sdlab $(DESTDIR)$(PREFIX)/lib/libsdlab.a \
		$(DESTDIR)$(PREFIX)/lib/pkgconfig/sdlab.pc \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/sdlab \
		$(patsubst man/%,$(DESTDIR)$(PREFIX)/share/man/man1/%,$(MAN1)) \
		$(patsubst man/%,$(DESTDIR)$(PREFIX)/share/man/man3/%,$(MAN3)) \
		$(patsubst man/%,$(DESTDIR)$(PREFIX)/share/man/man5/%,$(MAN5))
	$(Q)rm -rf $(DESTDIR)$(PREFIX)/include/sdlab $(DESTDIR)$(PREFIX)/share/doc/sdlab

clean: ## remove everything that was built
	$(Q)rm -rf build compile_commands.json
