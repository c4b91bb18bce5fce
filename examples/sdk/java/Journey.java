import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.stream.IntStream;
import org.rollbook.ApiClient;
import org.rollbook.ApiException;
import org.rollbook.api.ActivitiesApi;
import org.rollbook.api.CatalogueApi;
import org.rollbook.api.DirectoryApi;
import org.rollbook.api.ReportsApi;
import org.rollbook.api.XapiApi;
import org.rollbook.model.*;

/** The journey with the client of `openapi-generator` (`java`, library `native`). */
public final class Journey {
    private static void check(boolean holds, Object shown) {
        if (!holds) {
            throw new AssertionError(String.valueOf(shown));
        }
    }

    private static NewActivity activity(Action action, String content, String happenedAt) {
        return new NewActivity()
            .user(new NewActivityUser("java"))
            .action(action)
            .content(new NewActivityContent(content))
            .happenedAt(OffsetDateTime.parse(happenedAt));
    }

    private static CreatedActivity create(ActivitiesApi activities, NewActivity activity) throws ApiException {
        return activities.createActivity(
            ActivitiesApi.APICreateActivityRequest.newBuilder().newActivity(activity).build());
    }

    /** The generator makes no members for a map in a query, so this class writes the parameter. */
    private static final class Cohort extends CustomFields {
        @Override
        public String toUrlQueryString(String prefix) {
            return ApiClient.urlEncode(prefix + "[Cohort]") + "=java";
        }
    }

    public static void main(String[] arguments) throws Exception {
        String url = System.getenv("ROLLBOOK_CLIENT_URL");
        String authorisation = "Bearer " + System.getenv("ROLLBOOK_CLIENT_TOKEN");
        ApiClient client = new ApiClient();
        client.updateBaseUri(url);
        // An answer of several shapes is read as the first whose members it has. Without this setting, it would be the first by
        // name, since unknown members are passed over.
        ObjectMapper mapper = client.getObjectMapper();
        client.setObjectMapper(mapper.configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, true));
        client.setRequestInterceptor(request -> request.setHeader("Authorization", authorisation));

        // A user with a custom field, and a content.
        UserInput user = new UserInput().firstName("Bo").lastName("Ek").email("bo@java.example").role(Role.ADMIN);
        DirectoryApi directory = new DirectoryApi(client);
        User stored = directory.putUser("java", user.custom(Map.of("Cohort", "java")));
        check("java".equals(stored.getCustom().get("Cohort")), stored);
        ContentInput content = new ContentInput().iri(URI.create("https://java.example/quiz")).title("Fire Safety").type(ContentType.QUIZ);
        check(new CatalogueApi(client).putContent("java-quiz", content).getId().equals("java-quiz"), content);

        // One activity, and a batch.
        ActivitiesApi activities = new ActivitiesApi(client);
        NewActivityResult result = new NewActivityResult()
            .score(new NewActivityResultScore(92.0))
            .success(true)
            .totalTime(new NewActivityResultTotalTime("PT5M"));
        CreatedActivity created =
            create(activities, activity(Action.COMPLETED, "java-quiz", "2026-03-01T09:30:00Z").result(result));
        check(created.getActualInstance() instanceof ActivityInFull, created);
        check(created.getActivityInFull().getAction().getKey() == Action.COMPLETED, created);
        List<NewActivity> batch = IntStream.rangeClosed(1, 4)
            .mapToObj(day -> activity(Action.VIEWED, "java-quiz", "2026-03-0" + day + "T10:00:00Z"))
            .toList();
        check(activities.createActivities(batch).getIds().size() == 4, batch);

        // The log in pages, with filters and a custom field.
        List<Activity> rows = new ArrayList<>();
        String cursor = null;
        do {
            ActivityList page = activities.listActivities(
                ActivitiesApi.APIListActivitiesRequest.newBuilder()
                    .action(List.of(Action.VIEWED, Action.COMPLETED))
                    .from("2026-03-01")
                    .custom(new Cohort())
                    .limit(2)
                    .cursor(cursor)
                    .build());
            rows.addAll(page.getActivities());
            cursor = page.getNext() == null ? null : cursorOf(page.getNext());
        } while (cursor != null);
        check(rows.size() == 5, rows);
        List<Double> scores = rows.stream()
            .filter(row -> row.getAction().getKey() == Action.COMPLETED)
            .map(row -> row.getResult().getScore().getPercent())
            .toList();
        check(scores.equals(List.of(92.0)), rows);

        // The custom field is removed.
        Map<String, String> removed = new HashMap<>();
        removed.put("Cohort", null);
        User patched = directory.patchUser("java", new UserPatch().custom(removed));
        check(patched.getCustom().isEmpty() && patched.getEmail().equals("bo@java.example"), patched);

        // A report, a key and a schedule.
        ReportsApi reports = new ReportsApi(client);
        ReportFilter filter = new ReportFilter().user(List.of("java")).action(List.of(Action.COMPLETED));
        Report report = reports.createReport(new NewReport().name("Of java").filter(filter));
        check(report.getFilter().getUser().equals(List.of("java")), report);
        check(report.getFilter().getAction().equals(List.of(Action.COMPLETED)), report);
        check(reports.createReportKey(report.getId(), new NewReportKey().name("BI")).getSecret() != null, report);
        Schedule schedule = reports.createSchedule(
            report.getId(),
            new NewScheduleBody()
                .frequency(Frequency.WEEKLY)
                .at("08:00")
                .weekday(DayOfWeek.MONDAY)
                .recipients(List.of("bo@java.example")));
        check(schedule.getFrequency() == Frequency.WEEKLY, schedule);

        // A CSV goes to a file as it comes. The generated function would hold it in memory, so the client's own HTTP client sends
        // the request.
        HttpResponse<InputStream> csv = client.getHttpClient().send(
            java.net.http.HttpRequest.newBuilder(URI.create(url + "/v1/activities/export.csv?user=java"))
                .header("Authorization", authorisation)
                .build(),
            HttpResponse.BodyHandlers.ofInputStream());
        Files.copy(csv.body(), Path.of("journey.csv"), StandardCopyOption.REPLACE_EXISTING);
        check(Files.readAllLines(Path.of("journey.csv")).size() == 6, Files.readString(Path.of("journey.csv")));

        // Statements.
        XapiApi xapi = new XapiApi(client);
        List<UUID> ids = List.of(UUID.randomUUID(), UUID.randomUUID());
        for (UUID id : ids) {
            Statement statement = new Statement()
                .actor(new StatementActor().mbox("mailto:bo@java.example"))
                .verb(new StatementVerb().id("http://adlnet.gov/expapi/verbs/completed"))
                ._object(new StatementObject().id("https://java.example/quiz"));
            xapi.storeStatement(id, "1.0.3", statement);
        }
        FoundStatements found = xapi.readStatements(
            XapiApi.APIReadStatementsRequest.newBuilder().xExperienceAPIVersion("1.0.3").statementId(ids.get(0)).build());
        check(found.getStatement().getId().equals(ids.get(0)), found);
        StatementPage page = xapi.readStatements(
            XapiApi.APIReadStatementsRequest.newBuilder().xExperienceAPIVersion("1.0.3").limit(2).build()).getStatementPage();
        List<UUID> newest = page.getStatements().stream().map(Statement::getId).toList();
        check(newest.equals(List.of(ids.get(1), ids.get(0))), page);

        // A problem document.
        try {
            create(activities, activity(Action.COMPLETED, "none", "2026-03-01T09:30:00Z"));
            throw new AssertionError("the activity is not refused");
        } catch (ApiException refused) {
            Problem problem = client.getObjectMapper().readValue(refused.getResponseBody(), Problem.class);
            check(problem.getCode().equals("invalid-body") && problem.getPointer().equals("/content"), problem);
        }
        System.out.println("java: passed");
    }

    private static String cursorOf(String next) {
        for (String pair : URI.create(next).getRawQuery().split("&")) {
            if (pair.startsWith("cursor=")) {
                return java.net.URLDecoder.decode(pair.substring(7), java.nio.charset.StandardCharsets.UTF_8);
            }
        }
        return null;
    }
}
