import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.annotation.JsonTypeName;
import com.openai.client.OpenAIClient;
import com.openai.client.okhttp.OpenAIOkHttpClient;
import com.openai.core.http.StreamResponse;
import com.openai.errors.BadRequestException;
import com.openai.errors.NotFoundException;
import com.openai.errors.RateLimitException;
import com.openai.helpers.ResponseAccumulator;
import com.openai.models.responses.EasyInputMessage;
import com.openai.models.responses.Response;
import com.openai.models.responses.ResponseCreateParams;
import com.openai.models.responses.ResponseInputContent;
import com.openai.models.responses.ResponseInputImage;
import com.openai.models.responses.ResponseInputItem;
import com.openai.models.responses.ResponseInputText;
import com.openai.models.responses.ResponseItem;
import com.openai.models.responses.ResponseOutputItem;
import com.openai.models.responses.ResponseRetrieveParams;
import com.openai.models.responses.ResponseStatus;
import com.openai.models.responses.ResponseStreamEvent;
import com.openai.models.responses.inputitems.InputItemListParams;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

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
        report.runOnServer("stored", "previousResponseId goes on, whole and streamed; a response is read again, its input items page, and it is deleted", () -> stored(client));
        report.runOnServer("background", "a response in the background is polled, its events are read on from any, and it is cancelled", () -> background(client));
        report.runOnServer("conversation", "a conversation is made, responses on it see it and become a part of it, and it is deleted", () -> conversation(client));
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

    static void stored(OpenAIClient client) {
        ResponseCreateParams.Builder several = ResponseCreateParams.builder().model(MODEL).inputOfResponse(IntStream.range(0, 45).mapToObj(n -> ResponseInputItem.ofEasyInputMessage(
                EasyInputMessage.builder().role(EasyInputMessage.Role.USER).content("number " + n).build())).toList());
        Response first = client.responses().create(several.build());
        Response read = client.responses().retrieve(first.id());
        Report.equal(text(first), text(read));
        Report.equal(first.output(), read.output());
        List<String> numbers = new ArrayList<>();
        for (ResponseItem item : client.responses().inputItems().list(InputItemListParams.builder().responseId(first.id()).limit(7L).order(InputItemListParams.Order.ASC).build()).autoPager()) {
            item.validate();
            numbers.add(item.asResponseInputMessageItem().content().get(0).asInputText().text());
        }
        Report.equal(IntStream.range(0, 45).mapToObj(n -> "number " + n).toList(), numbers);
        Response second = client.responses().create(ask("and now?").previousResponseId(first.id()).build());
        Response third = streamed(client, ask("and then?").previousResponseId(second.id()).build());
        for (String part : List.of("user: \"number 44\"", "user: \"and now?\"", "user: \"and then?\"")) {
            Report.check(text(third).contains(part), text(third));
        }
        client.responses().delete(first.id());
        try {
            client.responses().retrieve(first.id());
            throw new AssertionError("it is there");
        } catch (NotFoundException e) {
            Report.equal("response_not_found", e.code().orElseThrow());
        }
    }

    static void background(OpenAIClient client) throws InterruptedException {
        ResponseCreateParams slow = ask("mock: tokens=5 delay=10ms").background(true).build();
        Response response = client.responses().create(slow);
        Report.equal(ResponseStatus.QUEUED, response.status().orElseThrow());
        for (; List.of(ResponseStatus.QUEUED, ResponseStatus.IN_PROGRESS).contains(response.status().orElseThrow()); Thread.sleep(50)) {
            response = client.responses().retrieve(response.id());
        }
        Report.check(!text(response).isEmpty(), response);
        List<ResponseStreamEvent> events;
        try (StreamResponse<ResponseStreamEvent> stream = client.responses().createStreaming(slow)) {
            events = stream.stream().map(ResponseStreamEvent::validate).toList();
        }
        String id = events.get(0).asCreated().response().id();
        for (int after = 0; after < events.size(); after += 3) {
            try (StreamResponse<ResponseStreamEvent> stream = client.responses().retrieveStreaming(ResponseRetrieveParams.builder().responseId(id).startingAfter(after).build())) {
                Report.equal(events.subList(after + 1, events.size()), stream.stream().toList());
            }
        }
        String running = client.responses().create(ask("mock: tokens=1000 delay=50ms").background(true).build()).id();
        Report.equal(ResponseStatus.CANCELLED, client.responses().cancel(running).status().orElseThrow());
        Report.equal(ResponseStatus.CANCELLED, client.responses().retrieve(running).status().orElseThrow());
    }

    static void conversation(OpenAIClient client) {
        String id = client.conversations().create().id();
        client.responses().create(ask("hello").conversation(id).build());
        String text = text(streamed(client, ask("and now?").conversation(id).build()));
        Report.check(text.contains("1 user: \"hello\"") && text.contains("3 user: \"and now?\""), text);
        Report.equal(4, client.conversations().items().list(id).data().size());
        Report.check(client.conversations().delete(id).deleted(), id);
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
