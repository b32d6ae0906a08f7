#!/usr/bin/env bash
# Micrometer 1.17.2 with its Prometheus registry: the counter `tokens.created` is exposed as tokens_total, for _created
# is a suffix of OpenMetrics and is taken off. With a counter `tokens` beside it the one that is first used has the
# name, and what the other counts is gone but for a line in the log: the page is valid, and which of the two it shows
# depends on which request came first. `tokens.issued` in its place is a counter of its own. A gauge whose name ends in
# .info is 1, whatever its value.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > pom.xml <<'XML'
<project><modelVersion>4.0.0</modelVersion>
<groupId>finding</groupId><artifactId>finding</artifactId><version>1</version>
<dependencies><dependency><groupId>io.micrometer</groupId><artifactId>micrometer-registry-prometheus</artifactId>
<version>1.17.2</version></dependency></dependencies></project>
XML
mvn --quiet --batch-mode dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$folder/lib"
cat > Ask.java <<'JAVA'
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.util.stream.Collectors;

public class Ask {
  static void show(String title, PrometheusMeterRegistry registry) {
    System.out.println(title + " -> " + registry.scrape().lines().filter(line -> !line.startsWith("#"))
        .sorted().collect(Collectors.joining(", ")));
  }

  public static void main(String[] arguments) {
    for (String counted : new String[] {
        "tokens=3 tokens.issued=5", "tokens=3 tokens.created=5", "tokens.created=5 tokens=3"}) {
      var registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
      for (String one : counted.split(" ")) {
        registry.counter(one.split("=")[0]).increment(Double.parseDouble(one.split("=")[1]));
      }
      show(counted, registry);
    }
    var registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    registry.gauge("pool.size", 7);
    registry.gauge("pool.info", 7);
    show("pool.size=7 pool.info=7", registry);
  }
}
JAVA
seen=$(java -cp 'lib/*' Ask.java 2> /dev/null)
echo "$seen"
test "$seen" = "tokens=3 tokens.issued=5 -> tokens_issued_total 5.0, tokens_total 3.0
tokens=3 tokens.created=5 -> tokens_total 3.0
tokens.created=5 tokens=3 -> tokens_total 5.0
pool.size=7 pool.info=7 -> pool_info 1, pool_size 7.0"
