# A node: containerd, kubelet and kube-proxy in namespaces of the node's own.
#
# The network namespace has a name; the mount namespace is kept by a "holder"
# process. In it the paths that those programs insist on are the node's own, so
# two nodes do not share them, and every mount goes when the processes go.
# Paths of the host that are not named here ARE the same for all nodes.
# shellcheck shell=bash

NODE_PATHS=(/var/lib/kubelet /var/lib/cni /var/log/pods /var/log/containers
	/opt/local-path-provisioner /var/lib/ollama-operator)

# kubelet wants these settings of the machine to be so. It sees them as it
# wants them, by files bound over them; the machine keeps its own.
NODE_SYSCTLS=(vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1
	kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000)

# A directory of the machine to mount something on. `down` removes those that
# were not there before.
mount_point() { # DIRECTORY
	if [ -d "$1" ]; then return; fi
	mkdir -p "$1"
	echo "$1" >>"$RUN/mount-points"
}

# Runs inside the node's new namespaces, and stays.
node_holder() { # N
	local dir=$STATE/node$1 p file
	mount --make-rprivate /
	for p in "${NODE_PATHS[@]}"; do
		mkdir -p "$dir$p"
		mount_point "$p"
		mount --bind "$dir$p" "$p"
	done
	mkdir -p "$dir/sysctl"
	mount_point /run/containerd
	mount -t tmpfs -o mode=711 tmpfs /run/containerd
	for p in "${NODE_SYSCTLS[@]}"; do
		[ -e "/proc/sys/${p%%=*}" ] || continue
		file=$dir/sysctl/$(tr / _ <<<"${p%%=*}")
		echo "${p#*=}" >"$file"
		mount --bind "$file" "/proc/sys/${p%%=*}"
	done
	mount --make-rshared /
	echo 1 >/proc/sys/net/ipv4/ip_forward
	# Present only while the kernel has br_netfilter.
	[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] ||
		echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
	touch "$RUN/node$1.ready"
	exec sleep infinity
}

in_node() { # N COMMAND...
	local pid
	alive "node$1" || die "node$1 is not up"
	pid=$(pid_of "node$1")
	shift
	nsenter --target "$pid" --mount --net -- "$@"
}

ctr_node() { # N ARGUMENT...
	local n=$1
	shift
	ctr --address "$RUN/node$n/containerd.sock" --namespace k8s.io "$@"
}

containerd_config() { # N; for containerd 1.6 and 1.7
	local dir=$STATE/node$1
	mkdir -p "$dir/cni" "$dir/registries" "$RUN/node$1"
	put "$dir/cni/10-lab.conflist" <<-JSON
	{"cniVersion": "1.0.0", "name": "lab", "plugins": [
	  {"type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "hairpinMode": true,
	   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$LAB_PODS.$1.0/24"}]]}},
	  {"type": "portmap", "capabilities": {"portMappings": true}}
	]}
	JSON
	# restrict_oom_score_adj: where the lab may not raise its own priority
	# (no CAP_SYS_RESOURCE), runc could not start a pod otherwise.
	put "$dir/containerd.toml" <<-TOML
	version = 2
	root = "$dir/containerd"
	state = "$RUN/node$1/containerd"
	disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
	  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
	  "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]
	[grpc]
	  address = "$RUN/node$1/containerd.sock"
	[plugins."io.containerd.grpc.v1.cri"]
	  sandbox_image = "lab.local/pause:1"
	  netns_mounts_under_state_dir = true
	  restrict_oom_score_adj = true
	  [plugins."io.containerd.grpc.v1.cri".cni]
	    bin_dir = "/usr/lib/cni"
	    conf_dir = "$dir/cni"
	  [plugins."io.containerd.grpc.v1.cri".containerd]
	    snapshotter = "overlayfs"
	    default_runtime_name = "runc"
	    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
	      runtime_type = "io.containerd.runc.v2"
	      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
	        SystemdCgroup = false
	  [plugins."io.containerd.grpc.v1.cri".registry]
	    config_path = "$dir/registries"
	TOML
}

kubelet_config() { # N
	put "$STATE/node$1/kubelet.yaml" <<-YAML
	apiVersion: kubelet.config.k8s.io/v1beta1
	kind: KubeletConfiguration
	address: $(node_ip "$1")
	healthzBindAddress: 127.0.0.1
	authentication:
	  anonymous: {enabled: false}
	  webhook: {enabled: true}
	  x509: {clientCAFile: $PKI/ca.crt}
	authorization: {mode: Webhook}
	tlsCertFile: $PKI/node$1.crt
	tlsPrivateKeyFile: $PKI/node$1.key
	containerRuntimeEndpoint: unix://$RUN/node$1/containerd.sock
	cgroupDriver: cgroupfs
	cgroupRoot: /$CGROUP/node$1/pods
	failCgroupV1: false
	failSwapOn: false
	enforceNodeAllocatable: [pods]
	volumePluginDir: $STATE/node$1/volume-plugins
	clusterDNS: [$DNS_IP]
	clusterDomain: cluster.local
	resolvConf: ""
	# The nodes share one disk with everything else on this machine: how full
	# it is says nothing about the lab.
	imageGCHighThresholdPercent: 100
	evictionHard: {memory.available: 100Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
	oomScoreAdj: 0
	registryPullQPS: 0
	eventRecordQPS: 0
	YAML
}

proxy_config() { # N; conntrack settings are the machine's, so they stay
	put "$STATE/node$1/kube-proxy.yaml" <<-YAML
	apiVersion: kubeproxy.config.k8s.io/v1alpha1
	kind: KubeProxyConfiguration
	clientConnection: {kubeconfig: $STATE/kube-proxy.kubeconfig}
	mode: iptables
	clusterCIDR: $LAB_PODS.0.0/16
	hostnameOverride: node$1
	bindAddress: $(node_ip "$1")
	healthzBindAddress: 127.0.0.1:10256
	metricsBindAddress: 127.0.0.1:10249
	conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
	oomScoreAdj: 0
	nodePortAddresses: [primary]
	YAML
}

# As when a machine loses its power: every process of the node ends at once and
# what was in memory is gone; its disk, and the objects in the cluster, stay.
node_off() { # N
	cgroup_kill "node$1"
	rm -rf "$RUN/node$1" "$RUN/node$1.ready" "$RUN/node$1.pid" "$RUN/node$1"-*.pid
}

start_node() { # N
	local n=$1
	local -a inside
	# Without the holder what still runs is in namespaces that nothing new can
	# join: such a node starts afresh.
	if ! alive "node$n"; then node_off "$n"; fi
	mkdir -p "$STATE/node$n"
	containerd_config "$n"
	kubelet_config "$n"
	proxy_config "$n"
	start "node$n" "node$n/holder" nsenter --net="/run/netns/oo-node$n" -- \
		unshare --mount --propagation private "$LAB_SRC/cluster" _holder "$n"
	wait_for 10 "the namespaces of node$n" holder_ready "$n"
	cgroup_make "$CGROUP/node$n/pods"
	inside=(nsenter --target "$(pid_of "node$n")" --mount --net --)
	start "node$n-containerd" "node$n/containerd" "${inside[@]}" \
		containerd --config "$STATE/node$n/containerd.toml" --log-level warn
	wait_for 20 "containerd of node$n" containerd_ready "$n"
	load_all "$n"
	start "node$n-kubelet" "node$n/kubelet" "${inside[@]}" kubelet \
		--config="$STATE/node$n/kubelet.yaml" --kubeconfig="$STATE/node$n.kubeconfig" \
		--hostname-override="node$n" --node-ip="$(node_ip "$n")" --v=1
	start "node$n-kube-proxy" "node$n/kube-proxy" "${inside[@]}" kube-proxy \
		--config="$STATE/node$n/kube-proxy.yaml"
}
holder_ready() { running "node$1" || return 99; [ -e "$RUN/node$1.ready" ]; }
containerd_ready() { running "node$1-containerd" || return 99; ctr_node "$1" version; }

node_ready() { # N
	wait_for 60 "node$1 to register" kubelet_registered "$1"
	kubectl wait --for=condition=Ready "node/node$1" --timeout=90s
}
kubelet_registered() { running "node$1-kubelet" || return 99; kubectl get node "node$1"; }

# load_image N TAR: unless this very file was imported there before.
load_image() {
	local mark
	mark=$STATE/node$1/loaded/$(basename "$2")-$(stat -c '%s-%Y-%i' "$2")
	if [ -e "$mark" ]; then return; fi
	ctr_node "$1" images import "$2"
	mkdir -p "$STATE/node$1/loaded"
	touch "$mark"
}

load_all() { # N
	local tar
	for tar in "$IMAGES"/*.tar; do load_image "$1" "$tar"; done
}
