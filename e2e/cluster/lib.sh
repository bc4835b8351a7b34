# Sourced by every script: where things are, and how to run something inside the cluster's network namespace.
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${CACHE:-$(cd "$HERE/.." && pwd)/.cache/cluster}   # built binaries, Envoy, packed image layers: keep it between runs
RUN=${RUN:-$CACHE/run}        # state of one run: logs, keys, etcd, containers; removed by `cluster.sh down`
NS=${NS:-e2e-$(cksum <<<"$RUN" | cut -d' ' -f1)}   # the network namespace; its own name for each checkout
BIN=$CACHE/bin; LOG=$RUN/log; PIDS=$RUN/pids; PKI=$RUN/pki
NODE_IP=10.245.0.1; POD_NET=10.244.0.0/24; SVC_NET=10.96.0.0/16; DNS_IP=10.96.0.10; REGISTRY=127.0.0.1:5000 REGISTRY_NAME=registry.test
export HERE CACHE RUN NS NODE_IP
in_ns(){ nsenter --net=/run/netns/$NS "$@"; }   # unlike `ip netns exec` it keeps /sys/fs/cgroup as it is
K(){ in_ns kubectl --kubeconfig "$RUN/admin.kubeconfig" "$@"; }
# nsenter and setsid exec the daemon, so $! is the daemon itself: `down` ends exactly what was started here
spawn(){ local n=$1; shift; in_ns_bg "$@" >"$LOG/$n.log" 2>&1 </dev/null & echo $! >"$PIDS/$n.pid"; }
in_ns_bg(){ exec nsenter --net=/run/netns/$NS setsid "$@"; }
until_ok(){ local t=$((SECONDS+$1)); shift; until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $t ] || { "$@"; return; }; sleep .2; done; }
pg_bin(){ ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1; }   # Debian's Postgres, "" where there is none
