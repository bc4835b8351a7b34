#!/bin/bash
# Builds every binary of the cluster from Go modules and installs the rest from PyPI and Debian. Skips what is there.
# controlplane/go.mod holds Kubernetes AND Istio (`tool` lines), so they share dependencies and the build cache;
# it is a module of its own, so that the product's go.mod stays clean. Never run `go get -u` or `go mod tidy` in it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"; mkdir -p $BIN
K8S=v1.36.1 ISTIO=1.31.0-eed52ebb66ad CONTAINERD=v2.2.9 CRANE=v0.22.1 OPENSHIFT=v0.0.0-20251015095338-264e80a2b6e7
command -v kubectl >/dev/null || { echo "kubectl is missing" >&2; exit 1; }
export CGO_ENABLED=0 GOWORK=off GOFLAGS="-buildvcs=false -trimpath -gcflags=all=-dwarf=false"   # as quickstarts/deploy.mk has it
have(){ for b in "$@"; do [ -x $BIN/$b ] || return 1; done; }
step(){ local s=$SECONDS n=$1; shift; "$@"; echo "$n: $((SECONDS-s))s"; }
v=k8s.io/component-base/version i=istio.io/istio/pkg/version
LD_K8S="-s -w -X $v.gitVersion=$K8S -X $v.gitMajor=1 -X $v.gitMinor=36 -X $v.gitTreeState=clean"
LD_ISTIO="-s -w -X $i.buildVersion=$ISTIO -X $i.buildTag=1.31.0 -X $i.buildHub=registry.istio.io/testing"
build(){ local dir=$1 ld=$2; shift 2; go -C $HERE/$dir build -ldflags "$ld" -o $BIN/ "$@"; }
install(){ env GOBIN=$BIN go install -ldflags "-s -w" "$@"; }
k8s=(kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet)
have ${k8s[@]} || step "kubernetes $K8S" build controlplane "$LD_K8S" ${k8s[@]/#/k8s.io/kubernetes/cmd/}
have pilot-discovery pilot-agent istioctl || step "istio $ISTIO" build controlplane "$LD_ISTIO" \
  istio.io/istio/pilot/cmd/{pilot-discovery,pilot-agent} istio.io/istio/istioctl/cmd/istioctl
have coredns || step coredns build coredns "-s -w" .
have crane || step "crane $CRANE" install github.com/google/go-containerregistry/cmd/crane@$CRANE
# the kubelet reads containerd's version, so this one needs its own ldflags
have containerd containerd-shim-runc-v2 || step "containerd $CONTAINERD" env GOBIN=$BIN go install -ldflags \
  "-s -w -X github.com/containerd/containerd/v2/version.Version=${CONTAINERD#v}" github.com/containerd/containerd/v2/cmd/{containerd,containerd-shim-runc-v2}@$CONTAINERD
"$HERE/../envoy/install" "$CACHE/envoy"   # the same that the image has
# what comes inside Go modules: Istio's Envoy bootstrap template, the CRDs of the Gateway API and of OpenShift's Route
share(){ dir(){ go -C $HERE/controlplane list -m -f '{{.Dir}}' $1; }; go -C $HERE/controlplane mod download istio.io/istio sigs.k8s.io/gateway-api
  mkdir -p $CACHE/share; cp $(dir istio.io/istio)/tools/packaging/common/envoy_bootstrap.json $CACHE/share/
  kubectl kustomize $(dir sigs.k8s.io/gateway-api)/config/crd >$CACHE/share/gateway-api.yaml
  cp "$(go mod download -json github.com/openshift/api@$OPENSHIFT | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')"/route/v1/zz_generated.crd-manifests/routes.crd.yaml $CACHE/share/; }
[ -s $CACHE/share/routes.crd.yaml ] || step "templates and CRDs" share
need=(); for p in etcd-server:etcd runc:runc iproute2:ip nftables:nft conntrack:conntrack socat:socat openssl:openssl curl:curl; do
  PATH=$PATH:/usr/sbin command -v ${p#*:} >/dev/null || need+=(${p%%:*}); done
[ -n "$(pg_bin)" ] || need+=(postgresql)
[ -x /usr/lib/cni/ptp ] || need+=(containernetworking-plugins)
[ ${#need[@]} -eq 0 ] || step "apt ${need[*]}" sh -c "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends ${need[*]} >/dev/null"
