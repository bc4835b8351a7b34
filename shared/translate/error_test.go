package translate_test

import (
	"testing"

	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

func TestMessagesTellNothingOfTheUpstream(t *testing.T) {
	for _, c := range []struct{ name, said, told string }{
		{"plain", "temperature must be non-negative, got -3.0. (parameter=temperature, value=-3.0)", "temperature must be non-negative, got -3.0. (parameter=temperature, value=-3.0)"},
		{"URL", "cannot fetch https://10.0.0.7:8000/v1.", "cannot fetch <url>"},
		{"data URL", "bad image data:image/png;base64,xx", "bad image data:image/png;base64,xx"},
		{"IPv4", "connect to ('10.0.0.7', 8000) failed", "connect to <address> 8000) failed"},
		{"IPv4 and port", "10.0.0.7:8000 refused", "<address> refused"},
		{"IPv6", "[::1]:8000 or fd00::12 refused", "<address> or <address> refused"},
		{"host and port", "no route to llm-predictor:8080", "no route to <address>"},
		{"host and port 443", "no route to vllm:443", "no route to <address>"},
		{"Service", "llm-predictor.llm-serving.svc.cluster.local is down", "<address> is down"},
		{"code", `in File "/opt/vllm/engine.py", line 3`, "in File <path> line 3"},
		{"relative code", "in vllm/engine.py", "in <path>"},
		{"file", "cannot open /root/.cache/model.bin", "cannot open <path>"},
		{"stack", "boom\nTraceback (most recent call last):\n File x", "boom"},
		{"model that looks like a path", "The model `/mnt/models` is busy", "The model `/mnt/models` is busy"},
		{"numbers and times", "at 12:30 ratio 4:3, version 1.2.3, value:100", "at 12:30 ratio 4:3, version 1.2.3, value:100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := append([]byte(`{"error":{"code":400,"message":`), appendJSON(c.said)...)
			e := translate.UpstreamError(400, append(body, "}}"...), "", false)
			require.Equal(t, c.told, e.Message)
		})
	}
}

func TestErrorsOfBodiesOfAllForms(t *testing.T) {
	for _, c := range []struct{ name, body, message, code, param string }{
		{"object", `{"error":{"message":"m","type":"t","param":"stop","code":"c"}}`, "m", "c", "stop"},
		{"code as a number in a string", `{"error":{"message":"m","code":"400"}}`, "m", "", ""},
		{"string", `{"error":"m"}`, "m", "", ""},
		{"null", `{"error":null}`, "the model server refused the request", "", ""},
		{"flat", `{"object":"error","message":"m","param":"max_tokens"}`, "m", "", "max_output_tokens"},
		{"detail", `{"detail":"m"}`, "m", "", ""},
		{"list of details", `{"detail":[{"msg":"m"}]}`, "m", "", ""},
		{"text", ` m `, "m", "", ""},
		{"page", `<html>m</html>`, "the model server refused the request", "", ""},
		{"not UTF-8", "m\xff", "the model server refused the request", "", ""},
		{"array", `["m"]`, `["m"]`, "", ""},
		{"reasoning effort", `{"error":{"message":"m","param":"reasoning_effort"}}`, "m", "", "reasoning.effort"},
		{"logprobs", `{"error":{"message":"m","param":"logprobs"}}`, "m", "", "include"},
		{"context", `{"error":{"message":"exceeds the maximum model length"}}`, "exceeds the maximum model length", "context_length_exceeded", "input"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := translate.UpstreamError(400, []byte(c.body), "3", false)
			require.Equal(t, []any{400, "invalid_request_error", c.message, c.code, c.param, "3"}, []any{e.Status, e.Type, e.Message, e.Code, e.Param, e.RetryAfter})
		})
	}
}

func TestErrorsOfTheConnection(t *testing.T) {
	require.Equal(t, 502, translate.ConnectError().Status)
	require.Equal(t, 504, translate.TimeoutError().Status)
	require.Equal(t, 502, translate.CutError().Status)
	require.EqualError(t, translate.CutError(), "the model server ended the stream before the answer was complete")
}
