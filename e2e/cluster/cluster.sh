#!/bin/bash
# A network namespace without an uplink, and in it a real Kubernetes control plane (etcd, kube-apiserver,
# kube-controller-manager, kube-scheduler) and an image registry. The node is node.sh, Istio is istio.sh.
# usage: cluster.sh up | down | kubectl ARGS... | exec COMMAND... (in the namespace, where $REGISTRY_NAME has its address)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

netns(){ # every address of the cluster exists in here only; there is no default route and no link to the outside
  ip netns add $NS; ip -n $NS link set lo up
  # The node needs an address that is not loopback (Kubernetes refuses 127.0.0.1 as an endpoint): an empty bridge holds it.
  ip -n $NS link add node0 type bridge; ip -n $NS addr add $NODE_IP/32 dev node0; ip -n $NS link set node0 up
  # Without a route for ClusterIPs the kernel refuses a connect() on the node before kube-proxy's rules can rewrite it.
  ip -n $NS route add $SVC_NET dev node0
  in_ns sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'   # this namespace's own setting, not the machine's
}
cert(){ # name subject [subjectAltName]
  openssl req -new -newkey rsa:2048 -nodes -keyout $PKI/$1.key -subj "$2" -out $PKI/$1.csr 2>/dev/null
  openssl x509 -req -in $PKI/$1.csr -CA $PKI/ca.crt -CAkey $PKI/ca.key -CAcreateserial -days 30 -out $PKI/$1.crt \
    -extfile <(printf 'keyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\n%s\n' "${3:+subjectAltName=$3}") 2>/dev/null; }
kubeconfig(){ # name = cert
  cat > $RUN/$1.kubeconfig <<Y
apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: "https://127.0.0.1:6443", certificate-authority: $PKI/ca.crt}}]
users: [{name: u, user: {client-certificate: $PKI/$1.crt, client-key: $PKI/$1.key}}]
contexts: [{name: e2e, context: {cluster: e2e, user: u}}]
current-context: e2e
Y
}
pki(){
  openssl req -x509 -newkey rsa:2048 -nodes -keyout $PKI/ca.key -out $PKI/ca.crt -days 30 -subj /CN=e2e-ca 2>/dev/null
  cert apiserver /CN=kube-apiserver "IP:127.0.0.1,IP:$NODE_IP,IP:10.96.0.1,DNS:kubernetes.default.svc"
  cert apiserver-kubelet /O=system:masters/CN=apiserver-kubelet-client
  cert kubelet /O=system:nodes/CN=system:node:node "IP:$NODE_IP"
  cert admin /O=system:masters/CN=admin
  cert registry /CN=registry "DNS:$REGISTRY_NAME"
  for c in kube-controller-manager kube-scheduler kube-proxy; do cert $c /CN=system:$c; done
  for c in admin kubelet kube-controller-manager kube-scheduler kube-proxy; do kubeconfig $c; done
  openssl genrsa -out $PKI/sa.key 2048 2>/dev/null; openssl rsa -in $PKI/sa.key -pubout -out $PKI/sa.pub 2>/dev/null
}
up(){
  mkdir -p $PKI $LOG $PIDS $RUN/registry; netns; pki
  # containerd reaches the registry as 127.0.0.1:5000 (plain http). `make push` and istio-proxy, which pulls oci:// modules
  # itself, reach it as $REGISTRY_NAME and insist on https, so socat puts TLS in front.
  spawn registry $BIN/crane registry serve --address $REGISTRY --disk $RUN/registry
  spawn registry-tls socat OPENSSL-LISTEN:443,bind=$NODE_IP,fork,reuseaddr,verify=0,cert=$PKI/registry.crt,key=$PKI/registry.key TCP:$REGISTRY
  # every namespace has the restricted pod security standard unless it says otherwise
  cat > $RUN/admission.yaml <<Y
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: restricted}
    exemptions: {namespaces: [kube-system, istio-system]}
Y
  spawn etcd etcd --data-dir $RUN/etcd --unsafe-no-fsync   # its default addresses are localhost:2379 and :2380
  spawn kube-apiserver $BIN/kube-apiserver --etcd-servers=http://127.0.0.1:2379 --advertise-address=$NODE_IP --service-cluster-ip-range=$SVC_NET \
     --authorization-mode=Node,RBAC --allow-privileged --admission-control-config-file=$RUN/admission.yaml --client-ca-file=$PKI/ca.crt --tls-cert-file=$PKI/apiserver.crt --tls-private-key-file=$PKI/apiserver.key \
     --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file=$PKI/sa.pub --service-account-signing-key-file=$PKI/sa.key \
     --kubelet-client-certificate=$PKI/apiserver-kubelet.crt --kubelet-client-key=$PKI/apiserver-kubelet.key \
     --kubelet-certificate-authority=$PKI/ca.crt --kubelet-preferred-address-types=InternalIP
  until_ok 60 K get --raw /readyz
  spawn kube-controller-manager $BIN/kube-controller-manager --kubeconfig=$RUN/kube-controller-manager.kubeconfig --leader-elect=false \
     --use-service-account-credentials --service-account-private-key-file=$PKI/sa.key --root-ca-file=$PKI/ca.crt
  spawn kube-scheduler $BIN/kube-scheduler --kubeconfig=$RUN/kube-scheduler.kubeconfig --leader-elect=false
  until_ok 30 K -n default get serviceaccount default
  K version | tail -1
}
down(){ # only PIDs that these scripts started; ending the node's PID takes kubelet, containerd and all containers along
  local p
  [ -f $PIDS/node.pid ] && kill -9 $(cat $PIDS/node.pid) 2>/dev/null || true
  for p in $PIDS/*.pid; do [ -f $p ] && kill $(cat $p) 2>/dev/null || true; done; [ -d $PIDS ] && sleep 1
  for p in $PIDS/*.pid; do [ -f $p ] && kill -9 $(cat $p) 2>/dev/null || true; done
  for p in /sys/fs/cgroup/*/k8s.io; do [ -d $p ] && find $p -depth -type d -exec rmdir {} + 2>/dev/null || true; done   # left by containerd
  ip netns del $NS 2>/dev/null || true; rmdir /run/$NS 2>/dev/null || true; rm -rf $RUN; }
run(){ # /etc/hosts of the command only
  mkdir -p $RUN; printf '127.0.0.1 localhost\n%s %s\n' $NODE_IP $REGISTRY_NAME >$RUN/hosts
  in_ns unshare --mount sh -c "mount --bind $RUN/hosts /etc/hosts && exec \"\$@\"" sh env KUBECONFIG=$RUN/admin.kubeconfig SSL_CERT_FILE=$PKI/ca.crt "$@"; }
case ${1:-} in up) up;; down) down;; kubectl) shift; K "$@";; exec) shift; run "$@";; *) sed -n '2,4s/^# //p' "$0" >&2; exit 2;; esac
