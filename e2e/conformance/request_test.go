package conformance

import (
	"path"
	"testing"

	"github.com/valyala/fastjson"
)

// acceptedBeyond are the cases whose requests are accepted although the
// specification does not allow them.
var acceptedBeyond = []struct {
	reason string
	cases  []string
}{
	{"custom and namespace tools, their calls in the history and their choice, as Codex sends them", []string{
		"made_custom_tool*", "made_namespace_tools*", "made_codex_turn", "made_allowed_tools_auto", "made_null_tool_members",
		"made_dropped_namespace_tools", "made_tool_choice_custom", "made_tool_choice_namespace", "made_namespace_written_*", "made_long_name*",
		"made_harmony_*", "made_tool_names_that_collide", "made_names_that_collide_*"}},
	{"messages between agents, as Codex sends them", []string{"made_agent_message*"}},
	{"tools that the client runs, their items and their choice, and tools that items bring", []string{
		"made_client_call*", "made_client_tool*", "made_tool_shell", "made_tool_local_shell", "made_tool_apply_patch", "made_tool_search_*",
		"made_additional_tools*", "made_names_that_collide", "made_history_search_arguments*", "made_results_of_several_kinds"}},
	{"hosted tools, which are dropped when so configured, and what they would include", []string{
		"made_hosted_tools_dropped", "made_only_hosted_tools_dropped", "made_dropped_tool*", "made_dropped_items*", "made_include_of_hosted_tools"}},
	{"null for the arguments of a call", []string{"made_history_arguments_null"}},
	{"the content of reasoning items, which the specification has in its output items", []string{
		"made_parallel_calls_in_history", "made_calls_one_after_the_other_in_history", "made_items_as_sdks_send_them_back",
		"made_reasoning_alone", "made_reasoning_from_summary", "made_reasoning_written_as_reasoning_content",
		"made_reasoning_copy_of_others_beside_content", "made_reasoning_from_copy_beside_content"}},
	{"text.format json_object, which the specification has in its resource", []string{"*_json_object*"}},
	{"messages without a type, as SDKs send them", []string{
		"made_messages_without_type", "made_system_message*", "made_user_content_empty", "made_assistant_texts_joined", "made_history_arguments_*"}},
	{"null for every field that may be absent, as SDKs send it", []string{"made_all_optional_fields_null", "made_nulls_inside", "made_tools"}},
	{"video and audio in user messages, for models that take them", []string{"made_video_and_audio"}},
	{"compaction_trigger, as OpenAI has it and Codex sends it", []string{"made_compaction_trigger*"}},
	{"output_text in a tool's result", []string{"made_tool_result_with_file"}},
}

// refusedWithin are the codes of errors that answer requests which the
// specification's schema allows.
var refusedWithin = map[string]string{
	"previous_response_not_found": "nothing is stored: no responses, conversations or items to refer to",
	"unsupported_parameter":       "background, stored prompts and files; fields of other APIs, which the schema does not see",
	"unsupported_item":            "compaction items are encrypted by whoever made them",
	"unsupported_file":            "chat messages have no files; text files become text",
	"unknown_parameter":           "members that the specification does not have, and does not forbid",
	"duplicate_parameter":         "JSON that means two things",
	"invalid_encrypted_content":   "what is sealed opens for its owner only, and as it was",
	"invalid_json":                "not UTF-8, lone surrogates: JSON for a lenient parser only",
	"limit_exceeded":              "the configured limits",
	"out_of_range":                "ranges that the specification has in its text only",
	"string_above_max_length":     "lengths that the specification has in its text only, and of the model's name",
	"missing_required_parameter":  "what the schema lets be absent and the meaning needs: input, a model, the parts of a format, the data of a part",
	"invalid_value":               "tools that are not there, names twice, names of formats, data that is not base64, nothing to answer",
	"invalid_type":                "fields that the specification does not have: user, namespace",
}

// TestRequests compares what the gateway accepts with what the specification
// allows, both ways.
func TestRequests(t *testing.T) {
	s := load(t)
	accepted, refused, beyond := 0, 0, 0
	within, used := make(map[string]int), make(map[string]bool)
	for _, c := range cases(t) {
		body := "CreateResponseBody"
		if c.Window {
			body = "CompactResponseMethodPublicBody"
		}
		err := s.validate(body, c.Request)
		switch {
		case c.Expected.Chat != nil && err == nil:
			accepted++
		case c.Expected.Chat == nil && err != nil:
			refused++
		case c.Expected.Chat != nil:
			beyond++
			reason := reasonFor(c.Name)
			if used[reason] = true; reason == "" {
				t.Errorf("%s is accepted, and the specification does not allow it: %v", c.Name, err)
			}
		default:
			code := fastjson.GetString(c.Expected.Error, "body", "error", "code")
			if within[code]++; refusedWithin[code] == "" {
				t.Errorf("%s is refused with the code %q, and the specification allows it: %s", c.Name, code, c.Expected.Error)
			}
		}
	}
	for _, group := range acceptedBeyond {
		if !used[group.reason] {
			t.Errorf("no case is accepted for: %s", group.reason)
		}
	}
	for code := range refusedWithin {
		if within[code] == 0 {
			t.Errorf("no case is refused with %s although the specification allows it", code)
		}
	}
	t.Logf("%d requests accepted and %d refused as the specification says, %d accepted beyond it, refused within it: %v", accepted, refused, beyond, within)
}

func reasonFor(name string) string {
	for _, group := range acceptedBeyond {
		for _, pattern := range group.cases {
			if ok, _ := path.Match(pattern, name); ok {
				return group.reason
			}
		}
	}
	return ""
}
