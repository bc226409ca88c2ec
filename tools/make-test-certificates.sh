#!/bin/sh
# Certificates for trying TLS out: make-test-certificates.sh DIRECTORY [SWITCH ...]
#
# One CA for OpenFlow and another for REST, so that a switch's certificate opens nothing but the port for switches:
#   openflow-ca.pem   controller.pem  controller.key   SWITCH.pem  SWITCH.key (one for each switch, in its own name)
#   rest-ca.pem       rest.pem        rest.key         client.pem  client.key (for rest_client_ca)
# REST's certificate is for localhost, 127.0.0.1 and ::1, and for what REST_NAMES adds ("DNS:cloud.example.org,IP:192.0.2.1").
# They hold for 30 days (DAYS=...). Files that are there already are kept, so switches can be added later.
set -eu
umask 077
if [ $# -lt 1 ] || [ "$1" = -h ] || [ "$1" = --help ]; then
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    [ $# -ge 1 ] && exit 0
    exit 2
fi
command -v openssl > /dev/null || { echo "openssl is not installed" >&2; exit 1; }
directory=$1
shift
days=${DAYS:-30}
for name in "$@"; do
    case $name in
        *[!A-Za-z0-9._-]* | [!A-Za-z0-9]* | '') echo "$name is no name of a switch" >&2; exit 2 ;;
        openflow-ca | rest-ca | controller | rest | client) echo "$name is the name of another file" >&2; exit 2 ;;
    esac
done
mkdir -p "$directory"
cd "$directory"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

new_key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$1.key" 2> /dev/null
}

authority() { # name
    [ -e "$1.pem" ] && return
    new_key "$1"
    openssl req -x509 -key "$1.key" -days "$days" -subj "/CN=$1 for tests" -out "$work/new.pem" \
        -addext 'keyUsage=critical,keyCertSign,cRLSign'
    chmod 644 "$work/new.pem"
    mv "$work/new.pem" "$1.pem"
}

signed() { # name, CA, usage, further extension
    [ -e "$1.pem" ] && return
    new_key "$1"
    printf '%s\n' 'basicConstraints=critical,CA:FALSE' 'keyUsage=critical,digitalSignature' "extendedKeyUsage=$3" \
        'subjectKeyIdentifier=hash' 'authorityKeyIdentifier=keyid' "$4" > "$work/extensions"
    openssl req -new -key "$1.key" -subj "/CN=$1" -out "$work/request"
    openssl x509 -req -in "$work/request" -CA "$2.pem" -CAkey "$2.key" -set_serial "0x$(openssl rand -hex 16)" \
        -days "$days" -extfile "$work/extensions" -out "$work/new.pem" 2> /dev/null
    chmod 644 "$work/new.pem"
    mv "$work/new.pem" "$1.pem"
}

authority openflow-ca
authority rest-ca
signed controller openflow-ca serverAuth subjectAltName=DNS:controller
signed rest rest-ca serverAuth "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1${REST_NAMES:+,$REST_NAMES}"
signed client rest-ca clientAuth subjectAltName=DNS:client
for name in "$@"; do
    signed "$name" openflow-ca clientAuth "subjectAltName=DNS:$name"
done
