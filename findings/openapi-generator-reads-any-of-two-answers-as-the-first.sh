#!/usr/bin/env bash
# openapi-generator 7.25.0, Java with its library native: an answer that is any of two objects without a member in
# common is read as the first by the alphabet, also where that one's required members are missing, and no error is
# raised: its members are null. The option failOnUnknownProperties=true changes nothing for a client of this library;
# its own ObjectMapper, told so, reads the second.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
mvn --quiet --batch-mode dependency:copy -DoutputDirectory="$folder" \
  -Dartifact=org.openapitools:openapi-generator-cli:7.25.0
cat > document.json <<'JSON'
{"openapi": "3.1.0", "info": {"title": "pets", "version": "1"}, "paths": {"/pet": {"get": {
  "operationId": "showPet", "tags": ["pets"], "responses": {"200": {"description": "a pet", "content": {
    "application/json": {"schema": {"anyOf": [
      {"$ref": "#/components/schemas/Dog"}, {"$ref": "#/components/schemas/Cat"}]}}}}}}}},
 "components": {"schemas": {
  "Dog": {"type": "object", "required": ["barks"], "properties": {"barks": {"type": "integer"}}},
  "Cat": {"type": "object", "required": ["lives"], "properties": {"lives": {"type": "integer"}}}}}}
JSON
java -jar openapi-generator-cli-7.25.0.jar generate -i document.json -g java --library native -o client \
  --additional-properties failOnUnknownProperties=true \
  --global-property apis,models,supportingFiles,apiDocs=false,modelDocs=false,apiTests=false > /dev/null 2>&1
cat > client/src/main/java/Ask.java <<'JAVA'
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.openapitools.client.ApiClient;
import org.openapitools.client.model.Cat;
import org.openapitools.client.model.ShowPet200Response;

public class Ask {
  static String read(ObjectMapper mapper) throws Exception {
    Object pet = mapper.readValue("{\"barks\": 3}", ShowPet200Response.class).getActualInstance();
    return pet instanceof Cat ? "Cat, lives " + ((Cat) pet).getLives() : pet.getClass().getSimpleName();
  }

  public static void main(String[] arguments) throws Exception {
    System.out.println("as it is: " + read(new ApiClient().getObjectMapper()));
    System.out.println("strict: " + read(
        ApiClient.createDefaultObjectMapper().enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)));
  }
}
JAVA
(cd client && mvn --quiet --batch-mode compile dependency:copy-dependencies -DincludeScope=runtime > /dev/null)
seen=$(java -cp 'client/target/classes:client/target/dependency/*' Ask)
echo "$seen"
test "$seen" = "as it is: Cat, lives null
strict: Dog"
