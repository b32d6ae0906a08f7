import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpFilter;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletRequestWrapper;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.URI;
import java.net.URLDecoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collections;
import java.util.Enumeration;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.UUID;

/**
 * Tomcat, Jetty, Spring Boot (as a bean): asks the token service about every request.
 *
 * <p>The caller is {@code request.getAttribute("token")}, a {@link Token}; the subject is {@code getRemoteUser()}, too.
 * Needs nothing beside Java 17 and Servlet 5. TOKENS_TRUSTED_PROXIES of the service must have this application's
 * address.
 */
public class TokenFilter extends HttpFilter {
    /** Who calls. The subject is "-" where the token speaks for nobody. */
    public record Token(String id, String subject, List<String> scopes, String kind, String name) {}

    private static final List<String> ASKED = List.of("Authorization", "X-API-Key", "X-Token", "User-Agent");
    /** Nobody but the service says these; they are kept from applications that read headers behind a gateway. */
    private static final Set<String> IDENTITY = Set.of("x-token-id", "x-token-subject", "x-token-scopes",
        "x-token-kind", "x-token-name", "remote-user", "x-auth-request-user", "x-tokens-retry-key");
    private static final List<String> PASSED_ON = List.of("WWW-Authenticate", "Retry-After", "RateLimit",
        "RateLimit-Policy", "Content-Type", "Cache-Control", "X-Request-Id");
    private static final Set<Integer> REFUSALS = Set.of(401, 403, 429, 503);

    private final URI url;
    private final String scopes;
    /** Keeps its connections, and asks again itself when a kept one was closed meanwhile. */
    private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1)
        .connectTimeout(Duration.ofMillis(250)).build();

    /** {@code url} may be .../validate/one-time: that one spends the token. */
    public TokenFilter(String url, String... scopes) {
        this.url = URI.create(url);
        this.scopes = String.join(" ", scopes);
    }

    @Override
    protected void doFilter(HttpServletRequest request, HttpServletResponse response, FilterChain rest)
            throws IOException, ServletException {
        HttpResponse<byte[]> answer;
        try {
            answer = client.send(question(request), HttpResponse.BodyHandlers.ofByteArray());
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
            answer = null;
        } catch (IOException | IllegalArgumentException unanswered) {
            answer = null;
        }
        boolean passed = answer != null && answer.statusCode() == 200 && answer.headers().firstValue("X-Token-Id").isPresent();
        if (passed) {
            rest.doFilter(new Known(request, token(answer)), response);
        } else if (answer == null || !REFUSALS.contains(answer.statusCode())) {
            response.setHeader("Retry-After", "1");
            response.setStatus(503);
        } else {
            for (String name : PASSED_ON) {
                answer.headers().firstValue(name).ifPresent(said -> response.setHeader(name, said));
            }
            response.setStatus(answer.statusCode());
            response.getOutputStream().write(answer.body());
        }
    }

    private HttpRequest question(HttpServletRequest request) {
        HttpRequest.Builder question = HttpRequest.newBuilder(url).timeout(Duration.ofSeconds(2))
            .header("X-Forwarded-For", request.getRemoteAddr())
            // Says that a question asked again after a lost answer is the same.
            .header("X-Tokens-Retry-Key", UUID.randomUUID().toString());
        for (String name : ASKED) {
            request.getHeaders(name).asIterator().forEachRemaining(said -> question.header(name, said));
        }
        return (scopes.isEmpty() ? question : question.header("X-Required-Scope", scopes)).build();
    }

    private static Token token(HttpResponse<?> answer) {
        var headers = answer.headers();
        String scopes = headers.firstValue("X-Token-Scopes").orElse("-");
        // A name has no `+`: it is percent-encoded.
        String name = URLDecoder.decode(headers.firstValue("X-Token-Name").orElse(""), StandardCharsets.UTF_8);
        return new Token(headers.firstValue("X-Token-Id").orElseThrow(), headers.firstValue("X-Token-Subject").orElse("-"),
            scopes.equals("-") ? List.of() : List.of(scopes.split(" ")), headers.firstValue("X-Token-Kind").orElse("-"), name);
    }

    /** The request as the application sees it. */
    private static final class Known extends HttpServletRequestWrapper {
        private final Token token;

        Known(HttpServletRequest request, Token token) {
            super(request);
            this.token = token;
            request.setAttribute("token", token);
        }

        private static boolean isKept(String name) {
            // ROOT: in Turkish the small letter of I is another one.
            return !IDENTITY.contains(name.toLowerCase(Locale.ROOT).replace('_', '-'));
        }

        @Override
        public String getRemoteUser() {
            return token.subject().equals("-") ? null : token.subject();
        }

        @Override
        public String getHeader(String name) {
            return isKept(name) ? super.getHeader(name) : null;
        }

        @Override
        public int getIntHeader(String name) {
            return isKept(name) ? super.getIntHeader(name) : -1;
        }

        @Override
        public long getDateHeader(String name) {
            return isKept(name) ? super.getDateHeader(name) : -1;
        }

        @Override
        public Enumeration<String> getHeaders(String name) {
            return isKept(name) ? super.getHeaders(name) : Collections.emptyEnumeration();
        }

        @Override
        public Enumeration<String> getHeaderNames() {
            return Collections.enumeration(Collections.list(super.getHeaderNames()).stream().filter(Known::isKept).toList());
        }
    }
}
