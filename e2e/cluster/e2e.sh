#!/bin/bash
# The quickstarts on a real Kubernetes and Istio, from nothing to nothing: cluster, images, the tests of this package, teardown.
# usage: e2e.sh [PATTERN]   of the tests to run (go test -run); without one all
# KEEP=1 leaves the cluster up (then: cluster.sh kubectl ..., cluster.sh exec COMMAND, cluster.sh down). ISTIO=0 leaves Istio out.
set -uo pipefail
. "$(dirname "$0")/lib.sh"; cd "$HERE"; root=$(cd ../.. && pwd); FAILED=0; T0=$SECONDS
[ $(id -u) = 0 ] || { echo "e2e-cluster wants root: it makes namespaces, mounts and cgroups" >&2; exit 1; }
step(){ local s=$SECONDS d=$1; shift; "$@" >$CACHE/step.log 2>&1 || { echo "FAIL $d"; tail -20 $CACHE/step.log; FAILED=1; exit 1; }; echo "ok   $d ($((SECONDS-s)) s)"; }
cleaned(){ ! ip netns list | grep -w $NS && ! grep $RUN /proc/self/mountinfo && ! grep -la "$RUN/\|$BIN/" /proc/[0-9]*/cmdline 2>/dev/null && [ -z "$(find /sys/fs/cgroup -maxdepth 2 -name k8s.io)" ] && [ ! -e $RUN ] && [ ! -e /run/$NS ]; }
finish(){ trap - EXIT; kill ${guard:-} 2>/dev/null
  [ "${KEEP:-}" ] || { ./cluster.sh down; if cleaned; then echo "ok   teardown leaves no process, mount, cgroup, namespace or file"; else echo "FAIL teardown"; FAILED=1; fi; }
  echo "took $((SECONDS-T0)) s"; exit $FAILED; }

mkdir -p $CACHE
step "the cluster's programs" ./build.sh
step "images" make -C $root images
cp $root/bin/images/digests.txt $CACHE/digests.txt
./cluster.sh down; trap 'FAILED=1; exit' INT TERM HUP; trap finish EXIT
# A run that is killed cannot tear down: this does it then.
[ "${KEEP:-}" ] || { setsid bash -c 'tail --pid=$0 -f /dev/null; exec ./cluster.sh down' $$ >/dev/null 2>&1 & guard=$!; }
step "control plane" ./cluster.sh up
step "the cluster's own images" ./images.sh base
step "Postgres' image" ./images.sh postgres
step "node and cluster DNS" ./node.sh up
if [ "${ISTIO:-1}" = 1 ]; then
  step "Istio's images" ./images.sh istio
  step "istiod" ./istio.sh up
fi
# As the README says, but what users apply is a copy: the repository stays as it is.
mkdir -p $RUN/tree && cp -r $root/quickstarts $root/istio $CACHE/share/routes.crd.yaml $RUN/tree/
step "make images push" ./cluster.sh exec make -C $root images push REGISTRY=registry.test/team KUSTOMIZATION=$RUN/tree/quickstarts/images/kustomization.yaml
grep ^registry.test $CACHE/step.log
step "the same commit makes the same digests" diff $CACHE/digests.txt $root/bin/images/digests.txt
GOWORK=off go test -c -o $RUN/cluster.test . || exit 1
./cluster.sh exec env ANTWORT_CLUSTER_TREE=$RUN/tree $RUN/cluster.test -test.v -test.timeout=40m ${1:+-test.run "$1"} || FAILED=1
exit $FAILED
