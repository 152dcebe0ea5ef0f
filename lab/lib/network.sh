# The lab's network: a bridge that the host has an address on, and one network
# namespace a node. Everything hangs on the bridge and the namespaces, so
# removing those removes all routes, and each node's packet filter with it.
#
#   host  oo-br0 .1 --+-- oo-vN | eth0 .(10+N)  node N -- cni0 -- its pods
#
# The host reaches pods directly and services through node 1; so the API
# server, a process of the host, can call webhooks. No node has a default
# route: nothing in the cluster reaches an address outside it.
# shellcheck shell=bash

network_up() { # NODES
	local n other
	if ! ip link show "$BRIDGE" >/dev/null 2>&1; then
		ip link add "$BRIDGE" type bridge
		ip addr add "$HOST_IP/24" dev "$BRIDGE"
		ip link set "$BRIDGE" up
	fi
	for n in $(seq "$1"); do
		node_network "$n"
		ip route replace "$LAB_PODS.$n.0/24" via "$(node_ip "$n")" dev "$BRIDGE"
		for other in $(seq "$1"); do
			[ "$other" = "$n" ] || ip -n "oo-node$n" route replace \
				"$LAB_PODS.$other.0/24" via "$(node_ip "$other")" dev eth0
		done
	done
	ip route replace "$LAB_SERVICES.0.0/16" via "$(node_ip 1)" dev "$BRIDGE"
}

node_network() { # N
	local n=$1
	if [ -e "/run/netns/oo-node$n" ]; then return; fi
	ip netns add "oo-node$n"
	ip link add "oo-v$n" type veth peer name eth0 netns "oo-node$n"
	ip link set "oo-v$n" master "$BRIDGE" up
	ip -n "oo-node$n" link set lo up
	ip -n "oo-node$n" addr add "$(node_ip "$n")/24" dev eth0
	ip -n "oo-node$n" link set eth0 up
}

network_down() {
	local netns
	for netns in /run/netns/oo-node*; do
		[ ! -e "$netns" ] || ip netns del "${netns##*/}"
	done
	if ip link show "$BRIDGE" >/dev/null 2>&1; then ip link del "$BRIDGE"; fi
}
