import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

/** Sends DELETE with each body to a URL: `URL BODY ...`, every second one in chunks. Prints a status for each. */
public class Client {
    public static void main(String[] given) throws Exception {
        var client = HttpClient.newHttpClient();
        for (int at = 1; at < given.length; at++) {
            var body = BodyPublishers.ofString(given[at]);
            var framed = at % 2 == 0 ? BodyPublishers.fromPublisher(body) : body;
            var request = HttpRequest.newBuilder(URI.create(given[0]))
                .header("Content-Type", "application/json").method("DELETE", framed).build();
            System.out.println(client.send(request, BodyHandlers.ofString()).statusCode());
        }
    }
}
