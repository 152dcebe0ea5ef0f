# Certificates and kubeconfigs, below $PKI. What exists already is kept.
# shellcheck shell=bash

new_key() {
	(umask 077 && openssl ecparam -name prime256v1 -genkey -noout -out "$1")
}

ca() { # NAME COMMON-NAME
	if [ -f "$PKI/$1.crt" ]; then return; fi
	mkdir -p "$PKI"
	new_key "$PKI/$1.key"
	openssl req -x509 -new -key "$PKI/$1.key" -subj "/CN=$2" -days 3650 -sha256 \
		-addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature -out "$PKI/$1.crt"
}

# cert NAME CA SUBJECT [SUBJECT-ALTERNATIVE-NAMES]: for servers and clients.
cert() {
	if [ -f "$PKI/$1.crt" ]; then return; fi
	new_key "$PKI/$1.key"
	openssl req -new -key "$PKI/$1.key" -subj "$3" -sha256 -out "$PKI/$1.csr"
	{
		echo basicConstraints=CA:FALSE
		echo keyUsage=digitalSignature
		echo extendedKeyUsage=serverAuth,clientAuth
		[ -z "${4:-}" ] || echo "subjectAltName=$4"
	} >"$PKI/$1.ext"
	openssl x509 -req -in "$PKI/$1.csr" -CA "$PKI/$2.crt" -CAkey "$PKI/$2.key" -CAcreateserial \
		-days 3650 -sha256 -extfile "$PKI/$1.ext" -out "$PKI/$1.crt"
	rm "$PKI/$1.csr" "$PKI/$1.ext"
}

# The key that signs the tokens of service accounts.
service_account_key() {
	if [ -f "$PKI/sa.pub" ]; then return; fi
	new_key "$PKI/sa.key"
	openssl ec -in "$PKI/sa.key" -pubout -out "$PKI/sa.pub"
}

# kubeconfig FILE CERT SERVER: for the holder of the client certificate.
kubeconfig() {
	put "$1" <<-YAML
	apiVersion: v1
	kind: Config
	current-context: lab
	clusters:
	- name: lab
	  cluster:
	    server: $3
	    certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")
	users:
	- name: $2
	  user:
	    client-certificate-data: $(base64 -w0 "$PKI/$2.crt")
	    client-key-data: $(base64 -w0 "$PKI/$2.key")
	contexts:
	- name: lab
	  context: {cluster: lab, user: $2}
	YAML
	chmod 600 "$1"
}
