# The cluster's control plane: processes of the host, in its namespaces.
# shellcheck shell=bash

cluster_pki() { # NODES
	local n server=https://$HOST_IP:6443 name=kubernetes.default.svc
	ca ca oo-lab-ca
	ca front-proxy-ca oo-lab-front-proxy-ca
	service_account_key
	cert apiserver ca /CN=kube-apiserver "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:$name,DNS:$name.cluster.local,IP:127.0.0.1,IP:$HOST_IP,IP:$LAB_SERVICES.0.1"
	cert apiserver-kubelet ca /O=system:masters/CN=kube-apiserver-kubelet-client
	cert front-proxy front-proxy-ca /CN=front-proxy-client
	cert admin ca /O=system:masters/CN=admin
	for n in controller-manager scheduler kube-proxy; do
		cert "$n" ca "/CN=system:kube-${n#kube-}"
		kubeconfig "$STATE/$n.kubeconfig" "$n" "$server"
	done
	for n in $(seq "$1"); do
		cert "node$n" ca "/O=system:nodes/CN=system:node:node$n" "DNS:node$n,IP:$(node_ip "$n")"
		kubeconfig "$STATE/node$n.kubeconfig" "node$n" "$server"
	done
	kubeconfig "$KUBECONFIG" admin "$server"
}

start_etcd() {
	local client=http://127.0.0.1:2379 peer=http://127.0.0.1:2380
	start etcd etcd etcd --name lab --data-dir "$STATE/etcd" --unsafe-no-fsync --log-level=warn \
		--listen-client-urls $client --advertise-client-urls $client \
		--listen-peer-urls $peer --initial-advertise-peer-urls $peer --initial-cluster lab=$peer \
		--auto-compaction-retention=10m --quota-backend-bytes=4294967296
}

# The policy that LAB_AUDIT=1 asks for: a line per request in audit.log, with
# which a test counts what an operator asks of the API server.
audit_flags() {
	[ "${LAB_AUDIT:-0}" = 1 ] || return 0
	cat >"$STATE/audit.yaml" <<-YAML
	apiVersion: audit.k8s.io/v1
	kind: Policy
	omitStages: [RequestReceived]
	rules:
	- level: Metadata
	YAML
	echo "--audit-policy-file=$STATE/audit.yaml --audit-log-path=$LOG/audit.log --audit-log-mode=batch --audit-log-maxsize=1000"
}

start_apiserver() {
	# shellcheck disable=SC2046 # no flag holds a blank
	start kube-apiserver kube-apiserver kube-apiserver \
		--etcd-servers=http://127.0.0.1:2379 \
		--bind-address="$HOST_IP" --advertise-address="$HOST_IP" --secure-port=6443 \
		--service-cluster-ip-range="$LAB_SERVICES.0.0/16" --allow-privileged=true \
		--authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
		--client-ca-file="$PKI/ca.crt" \
		--tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
		--service-account-issuer=https://kubernetes.default.svc.cluster.local \
		--service-account-key-file="$PKI/sa.pub" --service-account-signing-key-file="$PKI/sa.key" \
		--kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP \
		--kubelet-client-certificate="$PKI/apiserver-kubelet.crt" \
		--kubelet-client-key="$PKI/apiserver-kubelet.key" \
		--requestheader-client-ca-file="$PKI/front-proxy-ca.crt" \
		--requestheader-allowed-names=front-proxy-client \
		--requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
		--requestheader-extra-headers-prefix=X-Remote-Extra- --enable-aggregator-routing=true \
		--proxy-client-cert-file="$PKI/front-proxy.crt" --proxy-client-key-file="$PKI/front-proxy.key" \
		$(audit_flags)
	wait_for 90 "the API server" apiserver_ready
}
apiserver_ready() {
	running kube-apiserver && running etcd || return 99
	kubectl get --raw /readyz
}

# LAB_QPS raises how often the two may ask the API server a second: their own
# limits, 20 and 50, are what a test with thousands of pods would measure.
start_controllers() {
	local name config flags=()
	[ -z "${LAB_QPS:-}" ] || flags=(--kube-api-qps="$LAB_QPS" --kube-api-burst=$((LAB_QPS * 2)))
	config=$STATE/controller-manager.kubeconfig
	start kube-controller-manager kube-controller-manager kube-controller-manager \
		--kubeconfig="$config" --authentication-kubeconfig="$config" --authorization-kubeconfig="$config" \
		--bind-address=127.0.0.1 --leader-elect=false --use-service-account-credentials=true \
		--service-account-private-key-file="$PKI/sa.key" --root-ca-file="$PKI/ca.crt" \
		--flex-volume-plugin-dir="$STATE/volume-plugins" \
		--cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" \
		--requestheader-client-ca-file="$PKI/front-proxy-ca.crt" "${flags[@]}"
	config=$STATE/scheduler.kubeconfig
	start kube-scheduler kube-scheduler kube-scheduler \
		--kubeconfig="$config" --authentication-kubeconfig="$config" --authorization-kubeconfig="$config" \
		--bind-address=127.0.0.1 --leader-elect=false "${flags[@]}"
}
