import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.Map;

/** Runs named cases and reports each to the file that E2E_RESULTS names (see ../report). */
final class Report {
    interface Case {
        void run() throws Exception;
    }

    private final String only; // the only case to run, null for all
    private int failed;

    Report(String only) {
        this.only = only;
    }

    /** Runs one case. Proves is one sentence. */
    void run(String name, String proves, Case body) throws IOException {
        if (only != null && !only.equals(name)) {
            return;
        }
        Map<String, Object> result = result(name, proves);
        long start = System.nanoTime();
        try {
            body.run();
        } catch (Exception | AssertionError e) {
            e.printStackTrace();
            failed++;
            result.put("ok", false);
            String text = e.toString();
            result.put("error", text.substring(0, Math.min(2000, text.length())));
        }
        result.put("seconds", (System.nanoTime() - start) / 1e9);
        write(result);
        System.out.println(name + ": " + result.get("ok"));
    }

    /** Runs one case that only a server tier can pass. */
    void runOnServer(String name, String proves, Case body) throws IOException {
        if (!"0".equals(System.getenv("E2E_SERVER"))) {
            run(name, proves, body);
        } else if (only == null || only.equals(name)) {
            Map<String, Object> result = result(name, proves);
            result.put("skipped", "only a server tier can");
            result.put("seconds", 0);
            write(result);
        }
    }

    private static Map<String, Object> result(String name, String proves) {
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("case", name);
        result.put("proves", proves);
        result.put("ok", true);
        return result;
    }

    private static void write(Map<String, Object> result) throws IOException {
        String file = System.getenv("E2E_RESULTS");
        if (file != null) {
            Files.writeString(Path.of(file), new ObjectMapper().writeValueAsString(result) + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        }
    }

    /** Exits with status 1 when a case has failed. */
    void end() {
        System.exit(failed > 0 ? 1 : 0);
    }

    static void check(boolean right, Object shown) {
        if (!right) {
            throw new AssertionError(String.valueOf(shown));
        }
    }

    static void equal(Object want, Object got) {
        check(want.equals(got), "want " + want + ", got " + got);
    }
}
