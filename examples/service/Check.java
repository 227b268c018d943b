import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/** java Check.java < account.json */
public class Check {
  private static final String SERVICE = env("ACX_SERVICE", "http://127.0.0.1:8450");
  private static final HttpClient CLIENT =
      HttpClient.newBuilder()
          // The service speaks HTTP/1.1 and takes no upgrade to 2 with a body.
          .version(HttpClient.Version.HTTP_1_1)
          .connectTimeout(Duration.ofSeconds(2))
          .build();

  /** What the service answers about an account; both are JSON. */
  static HttpResponse<String> check(String account, String token) throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(SERVICE + "/v1/check"))
            .timeout(Duration.ofSeconds(10))
            .header("Authorization", "Bearer " + token)
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(account))
            .build();
    return CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
  }

  public static void main(String[] arguments) throws Exception {
    String token = Files.readString(Path.of(env("ACX_TOKEN_FILE", "token"))).strip();
    String account = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
    HttpResponse<String> answer = check(account, token);
    if (answer.statusCode() != 200) {
      System.err.println(answer.body());
      System.exit(1);
    }
    System.out.println(answer.body());
  }

  private static String env(String name, String otherwise) {
    return System.getenv().getOrDefault(name, otherwise);
  }
}
