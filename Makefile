# Everything a fresh machine needs is Go and make; the rest these targets install themselves.

.DEFAULT_GOAL := help

# Erlang takes file names as UTF-8 whatever the locale; without it Elixir warns.
export ELIXIR_ERL_OPTIONS ?= +fnu

COUNTER_VERSIONS := 1 2 3 4

# An S3 server that shares no code with the local Fly's, for tests.
VERSITYGW := bin/versitygw
VERSITYGW_VERSION := v1.8.0

# Another one, for the long versions. Its go.mod replaces a module, so that `go install` refuses it: it is built where its source lies.
SEAWEEDFS := bin/weed
SEAWEEDFS_VERSION := v0.0.0-20261109003541-7506e5f91cd6

.PHONY: help
help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## a live hot upgrade of six local machines in the console (ARGS="--machines 3 --yes")
	@.ci/setup demo
	@go build -o bin/flydeploy .
	@bin/flydeploy demo $(ARGS)

.PHONY: install
install: ## put the flydeploy binary into Go's bin folder
	@go install -trimpath -ldflags '-s -w' .

.PHONY: dist
dist: ## build archives for Linux and macOS into bin/dist, with completions, manual pages, CycloneDX and checksums (PLATFORMS=linux/amd64)
	@go run ./cli/dist $(if $(PLATFORMS),-platforms $(PLATFORMS))

.PHONY: setup
setup: $(VERSITYGW) ## install what demo and test need (Elixir, Erlang, a C compiler, tmux, s3cmd, versitygw), if it is missing
	@.ci/setup test

$(VERSITYGW):
	@echo "setup: installing versitygw $(VERSITYGW_VERSION)"
	@GOBIN=$(CURDIR)/bin go install github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW_VERSION)

$(SEAWEEDFS):
	@echo "soak: building SeaweedFS $(SEAWEEDFS_VERSION), which takes minutes"
	@cd "$$(go mod download -json github.com/seaweedfs/seaweedfs@$(SEAWEEDFS_VERSION) | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$$/\1/p')" && \
		CGO_ENABLED=0 go build -ldflags '-s -w' -o $(CURDIR)/$(SEAWEEDFS) ./weed

# make 4 prints what each target says as a whole where several run at once; make 3.81 of macOS cannot.
WHOLE := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: test
test: setup ## check and test everything, and that nothing is left behind
	@.ci/leaves-nothing $(MAKE) --no-print-directory -j3 $(WHOLE) test-nodes test-mix test-rest

# Beside the tests with nodes, which take longest and often wait, as ExUnit's do: each by a make that knows nothing of this one.
.PHONY: test-mix
test-mix:
	@MAKEFLAGS= make --no-print-directory $(WHOLE) test-elixir

.PHONY: test-rest
test-rest:
	@MAKEFLAGS= make --no-print-directory $(WHOLE) lint test-race

.PHONY: lint
lint: ## check formatting, go vet, staticcheck
	@echo "== format"
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	@cd elixir && mix format --check-formatted
	@cd examples/counter && mix format --check-formatted
	@echo "== go vet"
	@go vet ./...
	@echo "== staticcheck"
	@GOGC=400 GOMEMLIMIT=2GiB go tool staticcheck ./... # a quarter less CPU

# Lint has go vet look at the tests, once.
# What works with real nodes, or waits for most of its time, the longest first. What builds the binary runs with them, since they have built it.
NODES := ./test ./engine/deploy ./engine/agent ./fly/local ./fly ./s3 ./examples/counter ./cli/dist

# The race detector doubles what compiling and running takes. Of the packages without nodes, the engine's rooms that start goroutines, as
# their source is now, run under it here; make race runs all packages so.
STARTS := ^[[:space:]]*go [a-z]|\.Go\(
RACED = $(filter-out $(NODES),$(shell grep -rlE --include='*.go' --exclude='*_test.go' '$(STARTS)' engine | sed 's,^,./,; s,/[^/]*$$,,' | sort -u))
PLAIN = $(filter-out $(NODES) $(RACED),$(shell go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... | sed 's,^flydeploy/,./,'))

.PHONY: test-go
test-go: test-nodes test-race ## run the Go tests, with the race detector those of the engine that start goroutines

.PHONY: test-nodes
test-nodes:
	@echo "== go test: with nodes"
	@go test -vet=off -count=1 -p 3 -parallel 3 -timeout 25m $(NODES) # they wait for half of their time

.PHONY: test-race
test-race:
	@echo "== go test -race"
	@go test -vet=off -race -count=1 -p 4 -timeout 25m $(RACED)
	@echo "== go test"
	@go test -vet=off -count=1 -p 4 -timeout 25m $(PLAIN)

.PHONY: race
race: setup ## run all Go tests with the race detector
	@go test -race -count=1 -p 2 -timeout 60m ./...

# The package is compiled for the first version, and the others have it from there.
.PHONY: test-elixir
test-elixir: $(VERSITYGW) ## run the Elixir tests: what runs in the VM, and the sample application's four versions
	@echo "== mix test: elixir"
	@cd elixir && mix test --warnings-as-errors
	@for version in $(COUNTER_VERSIONS); do \
		echo "== mix test: examples/counter, version $$version"; \
		lib=examples/counter/_build/v$$version/test/lib; \
		mkdir -p $$lib && { [ -e $$lib/fly_deploy ] || [ $$version = 1 ] || ln -sfn ../../../v1/test/lib/fly_deploy $$lib/fly_deploy; }; \
		(cd examples/counter && COUNTER_VERSION=$$version mix test --warnings-as-errors) || exit 1; \
	done

.PHONY: test-browser
test-browser: ## try in headless Chromium, which it installs, that open pages take a new stylesheet
	@.ci/setup browser
	@FLYDEPLOY_BROWSER=$$(command -v chromium || command -v chromium-browser || echo chromium) go test -count=1 -v -run TestAnOpenPage ./test

.PHONY: test-otp
test-otp: setup ## run the Elixir tests, and the agent's on real nodes, with other Debians' Erlang and Elixir (SUITE=trixie, OTP_ROOTS=folder to keep them in)
	@for suite in $(or $(SUITE),trixie sid); do .ci/other-otp $$suite || exit 1; done

.PHONY: faults
faults: setup ## run the whole table of faults on real nodes, or some (CELLS="disk|network"), and that on the fake; make test runs a few
	@FLYDEPLOY_FAULTS="$(or $(CELLS),.)" go test -count=1 -v -timeout 60m -parallel 4 -run '^TestFaults$$' ./engine/deploy
	@FLYDEPLOY_FAULTS="$(or $(CELLS),.)" go test -count=1 -timeout 60m -run '^TestBadInput$$' ./test
	@FLYDEPLOY_FAULTS="$(or $(CELLS),.)" go test -count=1 -v -timeout 60m -run '^(TestFaultsOfATrial|TestFaultsOfWhatIsApplied|TestAKilledConsoleIsFinishedByAnother)$$' ./engine/deploy
	@FLYDEPLOY_SOAK=1 go test -count=1 -run '^(TestEveryFault|TestAVMThatDiesWhile|TestVMsThatEndWhile|TestAMachineThatDoesNotAnswerWhile|TestADeployIsResumed|TestATrialOf)' ./engine/deploy

.PHONY: soak
soak: setup $(SEAWEEDFS) ## the long versions: 100 processes and one lock on three S3 servers, consoles killed at eleven points, boots that meet every fault, six machines and a first deploy behind Fly's limits, walks through the screens, a sick canary, rehearsals, fly_deploy's README by mix; and soak-agent
	@FLYDEPLOY_SOAK=1 go test -count=1 -v -timeout 60m -run 'TestManyProcessesOneOwner|TestOneOfManyGetsTheLock|TestOtherServers|TestABucketThatIsNamed|TestURLsAreSigned' ./s3
	@FLYDEPLOY_SOAK=1 go test -count=1 -v -timeout 60m -run 'TestAKilledConsole|TestTheApplicationBoots|TestAMachineThatRestartsAfterItsCommit|TestConfigurationIsAppliedToNodes|TestChildrenAreAppliedToNodes|TestASubsetRestarts|TestADeployWhoseBucket|TestManyWatch|TestSixNodes|TestAFirstDeploy' ./engine/deploy
	@FLYDEPLOY_SOAK=1 go test -count=1 -run TestRule12EveryScreen ./tui
	@FLYDEPLOY_SOAK=1 go test -count=1 -run 'TestDemoTourOfABadUpgrade|TestACanaryByKeysAndByFlags|TestARehearsalOf|TestTheReadmeOf' ./test
	@$(MAKE) --no-print-directory soak-agent

.PHONY: bench
bench: setup ## run the benchmarks
	@go test -run '^$$' -bench . -benchmem $$(go list ./... | grep -v '/engine/agent$$')
	@$(MAKE) --no-print-directory bench-agent
	@$(MAKE) --no-print-directory bench-looks
	@$(MAKE) --no-print-directory bench-plan

.PHONY: bench-agent
bench-agent: setup ## how long processes are suspended, beside fly_deploy and the floor (BENCH_SIZES="10000x200" BENCH_PAIRS=11)
	@go test -run '^$$' -bench 'Window|Rollback|Injection' -benchtime 1x -timeout 12h ./engine/agent

.PHONY: bench-looks
bench-looks: ## what it costs to look at many processes, and to find those that were born
	@cd elixir && MIX_ENV=test mix run --no-start test/bench/looks.exs

.PHONY: bench-plan
bench-plan: setup ## what a plan takes from a VM with 10,000 processes and 3,000 modules, with and without a rehearsal
	@go test -run '^$$' -bench 'Plan$$' -benchtime 1x -timeout 1h ./engine/agent

.PHONY: bench-scale
bench-scale: ## what a deploy of many machines takes before a Machines API with Fly's limits, in virtual time, also with machines that are slow, fall silent or die; and the memory of its console as a process of its own (MACHINES="1 6 100 1000 10000" SEEDS=20)
	@FLYDEPLOY_SCALE="$(or $(MACHINES),1 6 100 1000 10000)" FLYDEPLOY_SCALE_SEEDS="$(SEEDS)" go test -count=1 -v -timeout 2h -run '^TestScale(OfAProcess)?$$' ./engine/deploy

.PHONY: soak-agent
soak-agent: setup $(SEAWEEDFS) ## kill the agent at forty points of the window; twenty upgrades, two hundred rollbacks under callers (SOAK_RUNS=100); all rows of the table of changes; the agent compiled twice; fly_deploy by path
	@FLYDEPLOY_SOAK=1 go test -count=1 -timeout 2h -v -run 'KilledAtEveryPoint|KilledInTheWindow|OneFailure|CallersSee|WindowUnderTraffic|TableOfChanges|CompiledAgent' ./engine/agent
	@cd elixir && mix test --warnings-as-errors --only soak

.PHONY: fuzz-window
fuzz-window: setup ## windows among random deaths, births, busy processes, failing and hanging migrations (FUZZ_MINUTES=10 FUZZ_SEED=…)
	@FLYDEPLOY_SOAK=1 go test -count=1 -timeout 2h -v -run FuzzWindow ./engine/agent

.PHONY: clean
clean: ## remove what was built
	@rm -rf bin flydeploy elixir/_build examples/counter/_build
