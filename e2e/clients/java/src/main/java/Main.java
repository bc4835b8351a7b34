import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.annotation.JsonTypeName;
import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.http.StreamResponse;
import com.openai.errors.BadRequestException;
import com.openai.errors.RateLimitException;
import com.openai.helpers.ResponseAccumulator;
import com.openai.models.responses.EasyInputMessage;
import com.openai.models.responses.Response;
import com.openai.models.responses.ResponseCreateParams;
import com.openai.models.responses.ResponseInputContent;
import com.openai.models.responses.ResponseInputImage;
import com.openai.models.responses.ResponseInputItem;
import com.openai.models.responses.ResponseInputText;
import com.openai.models.responses.ResponseOutputItem;
import com.openai.models.responses.ResponseStreamEvent;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** The official openai-java through the chain. Every answer and every event must pass the library's own validate(). */
public final class Main {
    static final String MODEL = "/mnt/models";
    static final String DOT = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

    public static class Person {
        public String name;
        public int age;
    }

    @JsonTypeName("get_weather")
    @JsonClassDescription("The weather")
    public static class GetWeather {
        public String city;
    }

    public static void main(String[] args) throws Exception {
        String base = System.getenv("BASE_URL");
        if (base == null) {
            System.err.println("BASE_URL is not set: run `make e2e-clients`, or `go run ./clients/run` from the folder e2e");
            System.exit(2);
        }
        OpenAIClient client = OpenAIOkHttpClient.builder().baseUrl(base + "/v1").apiKey("unused").maxRetries(0).responseValidation(true).build();
        Report report = new Report(args.length > 0 ? args[0] : null);
        report.run("create", "instructions and input reach the model, and the answer is valid", () -> create(client));
        report.run("stream", "every event is valid, and the accumulated answer is the whole", () -> stream(client));
        report.run("tools", "a call, its result and the thought before it go back as one turn", () -> tools(client));
        report.run("structured", "an answer is parsed into a class", () -> structured(client));
        report.run("image", "an image reaches the model", () -> image(client));
        report.run("incomplete", "a cut answer is incomplete, and valid", () -> incomplete(client));
        report.run("errors", "statuses are the library's exceptions, with code and param", () -> errors(client));
        report.end();
    }

    static ResponseCreateParams.Builder ask(String input) {
        return ResponseCreateParams.builder().model(MODEL).input(input);
    }

    /** The text of all messages of a valid answer. */
    static String text(Response response) {
        response.validate();
        return response.output().stream().flatMap(item -> item.message().stream()).flatMap(message -> message.content().stream())
                .flatMap(content -> content.outputText().stream()).map(part -> part.text()).collect(Collectors.joining());
    }

    static void create(OpenAIClient client) {
        Response response = client.responses().create(ask("Grüße 👋").instructions("You are terse.").temperature(0.5).build());
        String text = text(response);
        Report.check(text.contains("1 system: \"You are terse.\"") && text.contains("2 user: \"Grüße 👋\"") && text.contains("temperature=0.5"), text);
        Report.check(response.usage().orElseThrow().outputTokens() > 5, response.usage());
    }

    static Response streamed(OpenAIClient client, ResponseCreateParams params) {
        ResponseAccumulator accumulator = ResponseAccumulator.create();
        try (StreamResponse<ResponseStreamEvent> events = client.responses().createStreaming(params)) {
            events.stream().forEach(event -> accumulator.accumulate(event.validate()));
        }
        return accumulator.response();
    }

    static void stream(OpenAIClient client) {
        String prompt = "mock: reasoning=\"let me see\" text=\"Here you are.\" call=get_weather\nOslo";
        Response response = streamed(client, ask(prompt).addTool(GetWeather.class).build());
        Report.equal("Here you are.", text(response));
        Report.equal(1L, response.output().stream().filter(ResponseOutputItem::isReasoning).count());
        Report.equal(1L, response.output().stream().filter(ResponseOutputItem::isFunctionCall).count());
    }

    static void tools(OpenAIClient client) {
        List<ResponseInputItem> input = new ArrayList<>();
        input.add(ResponseInputItem.ofEasyInputMessage(EasyInputMessage.builder()
                .role(EasyInputMessage.Role.USER).content("mock: reasoning=\"my plan\" call=get_weather\nOslo").build()));
        Response first = client.responses().create(ResponseCreateParams.builder().model(MODEL).inputOfResponse(input).addTool(GetWeather.class).build());
        first.validate();
        for (ResponseOutputItem item : first.output()) {
            item.reasoning().ifPresent(reasoning -> input.add(ResponseInputItem.ofReasoning(reasoning)));
            item.functionCall().ifPresent(call -> {
                Report.equal("Oslo", call.arguments(GetWeather.class).city);
                input.add(ResponseInputItem.ofFunctionCall(call));
                input.add(ResponseInputItem.ofFunctionCallOutput(ResponseInputItem.FunctionCallOutput.builder().callId(call.callId()).output("sunny").build()));
            });
        }
        String text = text(client.responses().create(ResponseCreateParams.builder().model(MODEL).inputOfResponse(input).addTool(GetWeather.class).build()));
        Report.check(text.startsWith("The tools say: sunny"), text);
        List<String> assistant = text.lines().filter(line -> line.matches("\\d+ assistant:.*")).toList();
        Report.equal(1, assistant.size());
        Report.check(assistant.get(0).contains("reasoning=\"my plan\"") && assistant.get(0).contains("calls "), assistant);
    }

    static void structured(OpenAIClient client) {
        var response = client.responses().create(ask("Ann").text(Person.class).build());
        response.validate();
        Person person = response.output().stream().flatMap(item -> item.message().stream()).flatMap(message -> message.content().stream())
                .flatMap(content -> content.outputText().stream()).findFirst().orElseThrow();
        Report.equal("Ann 1", person.name + " " + person.age);
    }

    static void image(OpenAIClient client) {
        ResponseInputItem message = ResponseInputItem.ofMessage(ResponseInputItem.Message.builder().role(ResponseInputItem.Message.Role.USER).content(List.of(
                ResponseInputContent.ofInputText(ResponseInputText.builder().text("look").build()),
                ResponseInputContent.ofInputImage(ResponseInputImage.builder().detail(ResponseInputImage.Detail.AUTO).imageUrl(DOT).build()))).build());
        String text = text(client.responses().create(ResponseCreateParams.builder().model(MODEL).inputOfResponse(List.of(message)).build()));
        Report.check(text.contains("image_url image/png"), text);
    }

    static void incomplete(OpenAIClient client) {
        ResponseCreateParams params = ask("please echo this at length").maxOutputTokens(16).build();
        for (Response response : List.of(client.responses().create(params), streamed(client, params))) {
            response.validate();
            Report.equal("incomplete", response.status().orElseThrow().toString());
        }
    }

    static void errors(OpenAIClient client) {
        try {
            client.responses().create(ask("hi").temperature(3.0).build());
            throw new AssertionError("no error");
        } catch (BadRequestException e) {
            Report.equal("temperature", e.param().orElseThrow());
        }
        try {
            client.responses().create(ask("mock: status=429\nhi").build());
            throw new AssertionError("no error");
        } catch (RateLimitException e) {
            Report.equal(429, e.statusCode());
        }
    }
}
