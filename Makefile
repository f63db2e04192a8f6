# SPDX-License-Identifier: BSD-2-Clause
# The front door. Each target installs what it needs (tools/deps), builds, and runs.
JOBS       ?= $(shell nproc)
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
FUZZ_SECONDS ?= 60
SEED       ?= 1

.DEFAULT_GOAL := build
.PHONY: all build page demo demo-web test check interop bench sim worlds sim-soak sim-plots fuzz cover format install clean help

# $(call compile,PRESET,SUFFIX): configures and builds one preset of CMakePresets.json in build SUFFIX.
compile = tools/web && cmake --preset $(1) --log-level=WARNING >/dev/null && cmake --build build$(2) -j $(JOBS)

all: build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

build: ## build/locserd, build/locser and the rest (the default)
	@tools/deps build
	@$(call compile,default,)

page: ## the page that a peer serves, with node and npm; then as `make`
	@tools/deps build web
	@tools/web --need
	@$(call compile,default,)

demo: ## two phones call each other through a ring of 20 peers
	@tools/deps build interop
	@$(call compile,default,)
	@tests/interop/run demo

demo-web: ## two browsers call each other through three peers; screenshots in build/demo
	@tools/deps build interop web browser
	@tools/web --need
	@$(call compile,default,)
	@tests/interop/run demo-web

test: ## every test, under ASan and UBSan where it is C
	@tools/deps test
	@tools/web
	@JOBS=$(JOBS) tools/test

check: ## format, warnings, analysers, guards, conformance
	@tools/deps check
	@JOBS=$(JOBS) tools/check

interop: ## real phones and other SIP software
	@tools/deps interop web browser
	@tools/web --need
	@$(call compile,default,)
	@tests/interop/run all

bench: ## speed as ratios to a bare socket loop
	@tools/deps bench
	@$(call compile,default,)
	@test -x build/locser-bench || { echo "make: there is no bench/*.c yet" >&2; exit 1; }
	@build/locser-bench

# From 10,000 peers on the ring is computed.
scenario = $(if $(PEERS),$(shell [ $(PEERS) -lt 10000 ] && echo calm || echo million),swarm)
sim: ## the simulator; SEED=n SEEDS=n PEERS=n SCENARIO=name pick the run
	@tools/deps build
	@$(call compile,default,)
	@test -x build/locser-sim || { echo "make: there is no simulator yet" >&2; exit 1; }
	@build/locser-sim --progress --seed $(SEED) $(if $(SEEDS),--seeds $(SEEDS)) \
	  $(if $(PEERS),--peers $(PEERS)) --scenario $(or $(SCENARIO),$(scenario))

sim-soak: ## 10,000 seeds of the swarm, two at a time; SEED=n SEEDS=n SCENARIO=name
	@tools/deps build
	@$(call compile,default,)
	@tools/sim-soak --first $(SEED) --seeds $(or $(SEEDS),10000) --jobs $(or $(SIM_JOBS),2) \
	  -- --scenario $(or $(SCENARIO),swarm)

sim-plots: ## docs/plots: hops, convergence and cost, measured and drawn
	@tools/deps build plots
	@$(call compile,default,)
	@tools/sim-plots

worlds: ## every interleaving in small rings and merges, deeper than make test goes
	@tools/deps test
	@$(call compile,default,)
	@LOCSER_DEEP=1 tests/system/exhaustive_test.py

fuzz: ## libFuzzer; T=name picks one target, FUZZ_SECONDS=n the time for each
	@tools/deps fuzz
	@$(call compile,fuzz,-fuzz)
	@SECONDS_EACH=$(FUZZ_SECONDS) tools/fuzz $(T)

cover: ## line coverage of the tests
	@tools/deps cover
	@$(call compile,cover,-cover)
	@tools/coverage

format: ## clang-format in place, over what make check looks at
	@tools/deps check
	@clang-format -i $(wildcard $(addsuffix /*.[ch],core/* crypto host cmd sim bench tests/*))

install: build ## to $(DESTDIR)$(PREFIX); an existing configuration file is kept
	@tools/install "$(DESTDIR)" "$(PREFIX)" "$(SYSCONFDIR)"

clean: ## removes every build folder
	rm -rf web/dist build build-asan build-gcc build-clang build-fuzz build-cover
