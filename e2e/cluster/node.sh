#!/bin/bash
# A real node: containerd + runc + kubelet + kube-proxy (nftables mode) + CNI (ptp, host-local) + CoreDNS.
# containerd and kubelet get a mount and pid namespace of their own: ending the one supervisor PID ends every
# container, and no mount, sysctl or log folder of the machine is touched. Needs the images of images.sh.
# usage: node.sh up   (stop: cluster.sh down)
set -euo pipefail
. "$(dirname "$0")/lib.sh"; N=$RUN/node; SOCK=/run/$NS
inner(){
  mount --make-rshared /
  # kubelet insists on these three; give it files that read so instead of changing the machine's sysctls
  fake(){ mkdir -p $N/sysctl/${1%/*}; echo $2 >$N/sysctl/$1; mount --bind $N/sysctl/$1 /proc/sys/$1; }
  fake vm/overcommit_memory 1; fake kernel/panic 10; fake kernel/panic_on_oops 1
  # fixed paths that CNI and kubelet write to
  mkdir -p $SOCK /var/lib/cni; for d in $SOCK /var/lib/cni /var/log; do mount -t tmpfs tmpfs $d; done
  export PATH=$BIN:$PATH
  $BIN/containerd --config $N/containerd.toml >$LOG/containerd.log 2>&1 &
  until_ok 20 test -S $SOCK/containerd.sock
  exec $BIN/kubelet --config=$N/kubelet.yaml --kubeconfig=$RUN/kubelet.kubeconfig --hostname-override=node --node-ip=$NODE_IP \
    --root-dir=$N/kubelet --cert-dir=$N/pki --v=2 >$LOG/kubelet.log 2>&1
}
up(){
  mkdir -p $N/certs.d/_default $N/cni $N/pki
  # every image reference (ghcr.io/..., quay.io/...) is pulled from the local registry, so manifests stay as they are
  printf 'server = "http://%s"\n[host."http://%s"]\n  capabilities = ["pull","resolve"]\n' $REGISTRY $REGISTRY >$N/certs.d/_default/hosts.toml
  # ptp, not bridge: every packet between pods is routed, so kube-proxy sees it without bridge-nf-call settings
  cat > $N/cni/10-e2e.conflist <<Y
{"cniVersion": "1.0.0", "name": "e2e", "plugins": [{"type": "ptp", "ipam": {"type": "host-local", "subnet": "$POD_NET", "routes": [{"dst": "0.0.0.0/0"}]}}]}
Y
  cat > $N/containerd.toml <<Y
version = 3
root = "$N/containerd"
state = "$SOCK/state"
[grpc]
  address = "$SOCK/containerd.sock"
[ttrpc]
  address = "$SOCK/containerd.sock.ttrpc"
[plugins.'io.containerd.internal.v1.opt']
  path = "$N/opt"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "$REGISTRY/e2e/pause:1"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "$N/certs.d"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "$N/cni"
[plugins.'io.containerd.nri.v1.nri']
  disable = true
Y
  cat > $N/kubelet.yaml <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet.crt
tlsPrivateKeyFile: $PKI/kubelet.key
containerRuntimeEndpoint: unix://$SOCK/containerd.sock
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
resolvConf: ""
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
syncFrequency: 5s   # a changed ConfigMap is in the pod after seconds, not after a minute
failCgroupV1: false
oomScoreAdj: 0
makeIPTablesUtilChains: false
localStorageCapacityIsolation: false
podLogsDir: $N/podlogs
volumePluginDir: $N/volumeplugins
evictionHard: {memory.available: "50Mi", nodefs.available: "1%", imagefs.available: "1%"}
Y
  # maxPerCore 0: leave the conntrack limits, which belong to the whole machine, alone
  cat > $N/kube-proxy.yaml <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: $RUN/kube-proxy.kubeconfig}
clusterCIDR: $POD_NET
hostnameOverride: node
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
Y
  spawn kube-proxy $BIN/kube-proxy --config $N/kube-proxy.yaml
  spawn node unshare --mount --pid --fork --mount-proc --kill-child "$HERE/node.sh" inner
  sed "s/NODE_IP/$NODE_IP/" $HERE/dns.yaml | K apply -f - >/dev/null
  until_ok 60 K wait node/node --for=condition=Ready --timeout=1s
  K -n kube-system rollout status deployment/coredns --timeout=60s
}
case ${1:-} in up) up;; inner) inner;; *) sed -n '2,5s/^# //p' "$0" >&2; exit 2;; esac
