##@ Deploy
# What is in the images is told by the commit; where they were pushed to is not, so quickstarts/images may differ.
IMAGE_VERSION = $(shell git describe --tags --always 2>/dev/null || echo dev)$(shell git diff --quiet HEAD -- . ':!quickstarts' 2>/dev/null || echo -dirty)
IMAGE_REVISION = $(shell git rev-parse HEAD 2>/dev/null)
IMAGE_TIME = $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
IMAGES := $(CURDIR)/bin/images

.PHONY: images
images: bin/filter.wasm $(EMBEDDED) ## Build the images without docker (antwort for amd64 and arm64, the filter in two forms)
	@mkdir -p $(IMAGES)/binaries
	for arch in amd64 arm64; do \
	  CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X antwort/server/cli.Version=$(IMAGE_VERSION)" \
	    -o $(IMAGES)/binaries/antwort-$$arch ./server/cmd/antwort || exit 1; done
	cd e2e/images && $(GO) build -o $(IMAGES)/images .
	$(IMAGES)/images build -out $(IMAGES) -binaries $(IMAGES)/binaries -version $(IMAGE_VERSION) -revision "$(IMAGE_REVISION)" -created $(IMAGE_TIME)

# The file that is told where the images are.
KUSTOMIZATION ?= quickstarts/images/kustomization.yaml
.PHONY: push
push: ## Push them to REGISTRY=registry.example/team, and tell the quickstarts so
	@test -n "$(REGISTRY)" || { echo "say where to: make push REGISTRY=registry.example/team" >&2; exit 1; }
	@test -x $(IMAGES)/images || { echo "there are no images: run make images first" >&2; exit 1; }
	$(IMAGES)/images push -out $(IMAGES) -registry "$(REGISTRY)" -tag "$(IMAGE_VERSION)" -kustomization "$(KUSTOMIZATION)"

.PHONY: images-lock
images-lock: ## Take the present versions of the images' Debian packages
	cd e2e/images && $(GO) run . lock -cache ../.cache/images -locks .

.PHONY: e2e-cluster
e2e-cluster: build ## The quickstarts on a real Kubernetes with Istio, on this machine (root on Debian; 1 GB, 15 minutes the first time)
	e2e/cluster/e2e.sh

# With the flags of e2e/cluster/build.sh: Istio and Kubernetes are compiled once for both, and take most of the time here.
CLUSTER := CGO_ENABLED=0 GOFLAGS="-buildvcs=false -trimpath -gcflags=all=-dwarf=false"

.PHONY: test-manifests
test-manifests: test-schemas test-istio ## The manifests against Kubernetes' schemas and Istio's own analysis, without a cluster

.PHONY: test-schemas
test-schemas: bin/filter.wasm
	cd e2e && $(PLAIN) -count=1 ./manifests/... ./monitoring
	cd e2e/images && $(SHIPPED) $(GO) test $(COMPILER) -vet=off -count=1 ./...

# Apart from make test: it compiles Istio and much of Kubernetes, which takes as long as a third of all tests.
.PHONY: test-istio
test-istio: bin/filter.wasm
	cd e2e/cluster/controlplane && $(CLUSTER) $(GO) test $(COMPILER) -vet=off -count=1 ./...

# Apart from make vet: vet first reads all of Istio and Kubernetes.
.PHONY: vet-controlplane
vet-controlplane: ## go vet of the tests with Istio's own analysis (minutes when nothing of Istio is compiled)
	cd e2e/cluster/controlplane && $(CLUSTER) $(GO) vet ./...
