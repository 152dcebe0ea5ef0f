# Simulated nodes, by kwok: real to the API server, with pods that become Ready
# at once and run nothing.
# shellcheck shell=bash

start_kwok() {
	start kwok kwok kwok --config="$BIN/kwok-stages.yaml" --kubeconfig="$KUBECONFIG" \
		--manage-all-nodes=false --manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake \
		--server-address=127.0.0.1:10247 --node-lease-duration-seconds=40
	sleep 0.2
	running kwok
}

kwok_node() { # NAME
	cat <<-YAML
	---
	apiVersion: v1
	kind: Node
	metadata:
	  name: $1
	  annotations: {kwok.x-k8s.io/node: fake, node.alpha.kubernetes.io/ttl: "0"}
	  labels: {type: kwok, kubernetes.io/hostname: $1, kubernetes.io/os: linux, kubernetes.io/arch: amd64}
	spec:
	  taints: [{key: kwok.x-k8s.io/node, value: fake, effect: NoSchedule}]
	status:
	  allocatable: {cpu: "32", memory: 256Gi, pods: "110"}
	  capacity: {cpu: "32", memory: 256Gi, pods: "110"}
	YAML
}

make_kwok_nodes() { # COUNT
	local i
	for i in $(seq -f %04g "$1"); do kwok_node "fake-$i"; done | kubectl apply -f -
	kubectl wait --for=condition=Ready node -l type=kwok --timeout=120s
}

cmd_kwok() {
	case ${1:-} in
	up)
		[[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage
		locked build_kwok
		step "$LOG/kwok.log" "kwok" start_kwok
		step "$LOG/kwok.log" "$2 simulated nodes" make_kwok_nodes "$2"
		;;
	down)
		step "$LOG/kwok.log" "removing the simulated nodes" kubectl delete node -l type=kwok
		stop kwok
		;;
	*) usage ;;
	esac
}
