#!/bin/bash
# Makes the cluster's own images and pushes them to the local registry, which containerd uses as mirror of every registry name:
# "registry.k8s.io/coredns/coredns:1" is served from 127.0.0.1:5000/coredns/coredns:1.   usage: images.sh base | istio | postgres
set -euo pipefail
. "$(dirname "$0")/lib.sh"; R=$RUN/img; L=$CACHE/layers; mkdir -p $R $L
pack(){ tar -C $R/$1 --owner=0 --group=0 --sort=name --mtime=@0 -c . | gzip -1n >$L/$1.tmp; mv $L/$1.tmp $L/$1.tar.gz; }
stale(){ local l=$L/$1.tar.gz f; shift; [ -f $l ] || return 0; for f in "$@"; do [ ! $f -nt $l ] || return 0; done; return 1; }
goimage(){ # REF NAME : a static binary is the whole image
  mkdir -p $R/$2; CGO_ENABLED=0 GOWORK=off go build -trimpath -ldflags '-s -w' -o $R/$2/$2 $HERE/img/$2/main.go; pack $2; "$HERE/image.sh" $1 /$2 $L/$2.tar.gz 65532; }
base(){
  goimage e2e/pause:1 pause
  if stale coredns $BIN/coredns; then mkdir -p $R/coredns; cp $BIN/coredns $R/coredns/; pack coredns; fi
  "$HERE/image.sh" coredns/coredns:1 /coredns $L/coredns.tar.gz
}
istio(){
  if stale pilot $BIN/pilot-discovery; then mkdir -p $R/pilot/usr/local/bin $R/pilot/tmp; cp $BIN/pilot-discovery $R/pilot/usr/local/bin/; pack pilot; fi
  "$HERE/image.sh" testing/pilot:latest /usr/local/bin/pilot-discovery $L/pilot.tar.gz 1337:1337
  # istio-proxy: the real pilot-agent and bootstrap template, upstream Envoy, and nft for istio-init, with the libraries they need
  if stale proxyv2 $BIN/pilot-agent $CACHE/envoy/envoy/_bin/envoy; then
    P=$R/proxyv2; mkdir -p $P/{usr/local/bin,usr/sbin,var/lib/istio/envoy,etc,tmp}; chmod 1777 $P/tmp
    cp $BIN/pilot-agent $CACHE/envoy/envoy/_bin/envoy $P/usr/local/bin/; nft=$(PATH=$PATH:/usr/sbin command -v nft); cp $nft $P/usr/sbin/
    for l in $(ldd $nft $CACHE/envoy/envoy/_bin/envoy | grep -o '/[^ ]*\.so[^ ]*' | sort -u); do mkdir -p $P${l%/*}; cp -L $l $P$l; done
    cp $CACHE/share/envoy_bootstrap.json $P/var/lib/istio/envoy/envoy_bootstrap_tmpl.json
    printf 'root:x:0:0::/:/\nistio-proxy:x:1337:1337::/:/\n' >$P/etc/passwd; pack proxyv2
  fi
  "$HERE/image.sh" testing/proxyv2:latest /usr/local/bin/pilot-agent $L/proxyv2.tar.gz
}
postgres(){ # Debian's, in the place of the official image that the quickstart names, which no registry here has; a program of ours starts it
  local B=$(pg_bin) P=$R/postgres l n
  if stale postgres $B/postgres $HERE/img/postgres/main.go; then
    mkdir -p $P/{bin,usr/bin,etc,tmp,var/run/postgresql,var/lib/postgresql/data,usr/share,$B,${B%/bin}/lib}; chmod 1777 $P/tmp
    CGO_ENABLED=0 GOWORK=off go build -trimpath -ldflags '-s -w' -o $P/entrypoint $HERE/img/postgres/main.go
    cp $B/{postgres,initdb,pg_isready,psql} $P$B/; cp $(realpath /bin/sh) $P/bin/sh; for n in pg_isready psql; do ln -sf $B/$n $P/usr/bin/$n; done
    for l in ${B%/bin}/lib/*.so; do [[ $l == */llvmjit.so ]] || cp $l $P${B%/bin}/lib/; done
    mkdir -p $P/usr/share/postgresql; cp -r /usr/share/postgresql/$(basename ${B%/bin}) $P/usr/share/postgresql/; cp -r /usr/share/zoneinfo $P/usr/share/
    for l in $(ldd $P$B/* $P/bin/sh | grep -o '/[^ ]*\.so[^ ]*' | sort -u); do mkdir -p $P${l%/*}; cp -L $l $P$l; done
    printf 'root:x:0:0::/:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n' >$P/etc/passwd; pack postgres
  fi
  n=$(sed -n 's/^ *newTag: //p' $HERE/../../quickstarts/shared/postgres/kustomization.yaml)
  "$HERE/image.sh" library/postgres:$n /entrypoint $L/postgres.tar.gz 999:999
}
case ${1:-} in postgres) postgres;; base) base;; istio) istio;; *) echo "usage: images.sh base | istio | postgres" >&2; exit 2;; esac
