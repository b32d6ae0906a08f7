#!/usr/bin/env bash
# RestClient.create() of Spring 6.2.11 posts an order, the gateway answers 503 or 429: one request. With Apache
# HttpClient 5.5.1 on the classpath, which Spring then takes by itself, the same code sends the POST twice (RFC 9110,
# 9.2.2 has clients not do that), for that library asks only for the status. How long a client waits for an answer
# decides it: with a response timeout below a second, which is its pause before a retry, it is one request again, with
# two seconds two. A dependency that some other library brought is enough, and every 429 counts twice against the
# client's limit.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>finding</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.springframework</groupId><artifactId>spring-web</artifactId>
      <version>6.2.11</version></dependency>
    <dependency><groupId>org.apache.httpcomponents.client5</groupId><artifactId>httpclient5</artifactId>
      <version>5.5.1</version></dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory="$folder/all"
mkdir spring && cp all/spring-* all/micrometer-* all/slf4j-* spring
mkdir orders && cat > orders/Order.java <<'JAVA'
import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.concurrent.atomic.AtomicInteger;
import org.springframework.web.client.HttpStatusCodeException;
import org.springframework.web.client.ResourceAccessException;
import org.springframework.web.client.RestClient;

public class Order {
  static void place(String name, RestClient client) throws Exception {
    var seen = new AtomicInteger();
    var server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/", exchange -> {
      exchange.getRequestBody().readAllBytes();
      seen.incrementAndGet();
      exchange.sendResponseHeaders(Integer.parseInt(exchange.getRequestURI().getPath().substring(1)), -1);
      exchange.close();
    });
    server.start();
    for (var status : new String[] {"503", "429", "500"}) {
      var address = "http://127.0.0.1:" + server.getAddress().getPort() + "/" + status;
      for (int tries = 0; tries < 20; tries++) {
        seen.set(0);
        try {
          client.post().uri(address).body("an order").retrieve().toBodilessEntity();
        } catch (HttpStatusCodeException refused) {
          System.out.println(name + ", " + refused.getStatusCode().value() + ": " + seen + " sent");
          break;
        } catch (ResourceAccessException late) {
          // A busy machine answered after the response timeout: this try shows nothing.
        }
      }
    }
    server.stop(0);
  }

  public static void main(String[] arguments) throws Exception {
    place(arguments[0], RestClient.create());
  }
}
JAVA
cat > Timed.java <<'JAVA'
import org.apache.hc.client5.http.config.RequestConfig;
import org.apache.hc.client5.http.impl.classic.HttpClients;
import org.apache.hc.core5.util.Timeout;
import org.springframework.http.client.HttpComponentsClientHttpRequestFactory;
import org.springframework.web.client.RestClient;

public class Timed {
  public static void main(String[] arguments) throws Exception {
    for (int milliseconds : new int[] {2000, 900}) {
      var config = RequestConfig.custom().setResponseTimeout(Timeout.ofMilliseconds(milliseconds)).build();
      var client = HttpClients.custom().setDefaultRequestConfig(config).build();
      Order.place("told to wait " + milliseconds + " ms",
          RestClient.create().mutate().requestFactory(new HttpComponentsClientHttpRequestFactory(client)).build());
    }
  }
}
JAVA
javac -d . -cp 'spring/*' orders/Order.java
javac -d . -cp '.:all/*' Timed.java
run() { java -XX:TieredStopAtLevel=1 -cp ".:$1/*" "${@:2}" 2> /dev/null; }
seen=$(run spring Order "Spring alone"; run all Order "with HttpClient"; run all Timed)
echo "$seen"
test "$seen" = "Spring alone, 503: 1 sent
Spring alone, 429: 1 sent
Spring alone, 500: 1 sent
with HttpClient, 503: 2 sent
with HttpClient, 429: 2 sent
with HttpClient, 500: 1 sent
told to wait 2000 ms, 503: 2 sent
told to wait 2000 ms, 429: 2 sent
told to wait 2000 ms, 500: 1 sent
told to wait 900 ms, 503: 1 sent
told to wait 900 ms, 429: 1 sent
told to wait 900 ms, 500: 1 sent"
