import com.fasterxml.jackson.databind.DeserializationFeature;
import java.util.List;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.GatewayApi;
import org.openapitools.client.api.ManagedApi;
import org.openapitools.client.api.SessionsApi;
import org.openapitools.client.model.CreateToken;
import org.openapitools.client.model.EndTokens;
import org.openapitools.client.model.Filter;
import org.openapitools.client.model.SignIn;

/** Five operations through the client that openapi-generator made. */
public class Use {
  private static ApiClient client(String url, String token) {
    ApiClient client = new ApiClient();
    client.updateBaseUri(url);
    // Of two possible answers it takes else the first by the alphabet, whatever members that lacks.
    client.setObjectMapper(
        ApiClient.createDefaultObjectMapper().enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES));
    client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + token));
    return client;
  }

  private static int validated(ApiClient holder, List<String> scopes) {
    try {
      return new GatewayApi(holder).validateWithHttpInfo(scopes, null, null, null, null, null).getStatusCode();
    } catch (ApiException refused) {
      return refused.getCode();
    }
  }

  public static void main(String[] arguments) throws ApiException {
    String url = arguments[0];
    SignIn signIn = new SignIn().username("admin").password(arguments[1]);
    String session = new SessionsApi(client(url, "")).createSession(signIn).getToken();
    ManagedApi admin = new ManagedApi(client(url, session));
    CreateToken wanted =
        new CreateToken().name("java").duration(CreateToken.DurationEnum._1MONTH).addScopesItem("orders:read");
    ApiClient holder = client(url, admin.createToken(wanted, null).getToken().getToken());
    int listed = admin.listTokens("active", "java", null, null, null, null, null, null, null, null, 5, null, null, null)
        .getTokens().size();
    int before = validated(holder, List.of("orders:read"));
    Filter which = new Filter().q("java").status("active");
    int found = admin.revokeManyTokens(new EndTokens().filter(which).dryRun(true)).getTokensMatched().getMatched();
    int ended = admin.revokeManyTokens(new EndTokens().filter(which).expected(found)).getSliceChanged()
        .getUpdated().size();
    System.out.printf("%d %d %d %d %d%n", listed, before, found, ended, validated(holder, null));
  }
}
