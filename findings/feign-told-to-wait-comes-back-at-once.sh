#!/usr/bin/env bash
# Feign 13.13 as its builder makes it: a 429 or 503 is an exception after one request, unless it has a Retry-After,
# which says how long to wait before the next one (RFC 9110, 10.2.3); then, and so on a 404 that has one, the request is
# sent five times, a POST too (9.2.2 has clients not do that), and of the hour that the field asks for one second is
# waited between them. The server that asks its clients to stay away is the one that gets five times the load.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
mvn --quiet --batch-mode dependency:copy -DoutputDirectory="$folder" -Dartifact=io.github.openfeign:feign-core:13.13
cat > Ask.java <<'JAVA'
import com.sun.net.httpserver.HttpServer;
import feign.Feign;
import feign.FeignException;
import feign.RequestLine;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;

public class Ask {
  interface Orders {
    @RequestLine("POST /orders/{status}/{wait}")
    String place(@feign.Param("status") int status, @feign.Param("wait") String wait, String order);
  }

  public static void main(String[] arguments) throws Exception {
    var asked = new AtomicInteger();
    var server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/", exchange -> {
      asked.incrementAndGet();
      exchange.getRequestBody().readAllBytes();
      var parts = exchange.getRequestURI().getPath().split("/");
      if (!parts[3].equals("none")) {
        exchange.getResponseHeaders().set("Retry-After", parts[3]);
      }
      exchange.sendResponseHeaders(Integer.parseInt(parts[2]), -1);
      exchange.close();
    });
    server.start();
    var orders = Feign.builder().target(Orders.class, "http://127.0.0.1:" + server.getAddress().getPort());
    for (int status : new int[] {429, 503, 404}) {
      for (String wait : new String[] {"none", "3600"}) {
        asked.set(0);
        long begin = System.nanoTime();
        try {
          orders.place(status, wait, "one of these");
        } catch (FeignException error) {
          boolean early = Duration.ofNanos(System.nanoTime() - begin).toMinutes() < 1;
          String within = early ? ", within a minute" : "";
          System.out.println(status + ", Retry-After " + wait + ": POSTs " + asked + within);
        }
      }
    }
    server.stop(0);
  }
}
JAVA
seen=$(java -cp feign-core-13.13.jar Ask.java 2> /dev/null)
echo "$seen"
test "$seen" = "429, Retry-After none: POSTs 1, within a minute
429, Retry-After 3600: POSTs 5, within a minute
503, Retry-After none: POSTs 1, within a minute
503, Retry-After 3600: POSTs 5, within a minute
404, Retry-After none: POSTs 1, within a minute
404, Retry-After 3600: POSTs 5, within a minute"
