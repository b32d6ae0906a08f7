#!/usr/bin/env bash
# Spring Security 6.5.5: a JWT without `iat`, which RFC 7519 and RFC 7523 leave to the issuer, gets one from
# NimbusJwtDecoder, one second before its `exp`. getIssuedAt() and the claim say so, and a token that is good for an
# hour has been issued in 59 minutes and 59 seconds. JwtIssuedAtValidator, whose constructor without arguments is by its
# documentation for a claim that is not required, then refuses it as too far ahead, for the whole of its life but the
# last minute, in which it is taken. One with `iat` is taken, and so is one with neither `iat` nor `exp`.
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
    <dependency><groupId>org.springframework.security</groupId><artifactId>spring-security-oauth2-jose</artifactId>
      <version>6.5.5</version></dependency>
    <dependency><groupId>org.springframework</groupId><artifactId>spring-web</artifactId>
      <version>6.2.11</version></dependency>
  </dependencies>
</project>
XML
mvn --quiet --batch-mode dependency:copy-dependencies -DoutputDirectory="$folder/jars"
cat > Ask.java <<'JAVA'
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.JWSObject;
import com.nimbusds.jose.Payload;
import com.nimbusds.jose.crypto.MACSigner;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.LinkedHashMap;
import java.util.Map;
import javax.crypto.spec.SecretKeySpec;
import org.springframework.security.oauth2.core.DelegatingOAuth2TokenValidator;
import org.springframework.security.oauth2.jwt.JwtException;
import org.springframework.security.oauth2.jwt.JwtIssuedAtValidator;
import org.springframework.security.oauth2.jwt.JwtTimestampValidator;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;

public class Ask {
  static final byte[] KEY = "a key of this finding, long enough".getBytes();
  static final Instant START = Instant.parse("2030-01-01T12:00:00Z");

  static void decode(String name, Map<String, Object> claims, int minutesLater, boolean withValidator)
      throws Exception {
    var signed = new JWSObject(new JWSHeader(JWSAlgorithm.HS256), new Payload(new LinkedHashMap<>(claims)));
    signed.sign(new MACSigner(KEY));
    var clock = Clock.fixed(START.plusSeconds(60 * minutesLater), ZoneOffset.UTC);
    var times = new JwtTimestampValidator();
    times.setClock(clock);
    var issued = new JwtIssuedAtValidator();
    issued.setClock(clock);
    var decoder = NimbusJwtDecoder.withSecretKey(new SecretKeySpec(KEY, "HmacSHA256")).build();
    decoder.setJwtValidator(withValidator ? new DelegatingOAuth2TokenValidator<>(times, issued) : times);
    try {
      var token = decoder.decode(signed.serialize());
      System.out.println(name + ": taken, issued at " + token.getIssuedAt());
    } catch (JwtException refused) {
      System.out.println(name + ": " + refused.getMessage().replaceFirst(".*: ", ""));
    }
  }

  public static void main(String[] arguments) throws Exception {
    long start = START.getEpochSecond();
    Map<String, Object> hour = Map.of("sub", "ada", "exp", start + 3600);
    decode("no iat, new", hour, 0, false);
    for (int minutes : new int[] {0, 30, 58, 59}) {
      decode("no iat, validator, after " + minutes + " minutes", hour, minutes, true);
    }
    decode("iat, validator, new", Map.of("sub", "ada", "iat", start, "exp", start + 3600), 0, true);
    decode("neither, validator, new", Map.of("sub", "ada"), 0, true);
  }
}
JAVA
javac -cp 'jars/*' Ask.java
seen=$(java -XX:TieredStopAtLevel=1 -cp '.:jars/*' Ask 2> /dev/null)
echo "$seen"
test "$seen" = "no iat, new: taken, issued at 2030-01-01T12:59:59Z
no iat, validator, after 0 minutes: iat claim is invalid.
no iat, validator, after 30 minutes: iat claim is invalid.
no iat, validator, after 58 minutes: iat claim is invalid.
no iat, validator, after 59 minutes: taken, issued at 2030-01-01T12:59:59Z
iat, validator, new: taken, issued at 2030-01-01T12:00:00Z
neither, validator, new: taken, issued at null"
