package mockllm

import (
	"fmt"
	"sort"
	"strings"

	"github.com/valyala/fastjson"
)

// partTypes are the content parts that vLLM knows; true is text.
var partTypes = map[string]bool{
	"text": true, "input_text": true, "output_text": true, "refusal": true, "thinking": true, "tool_reference": true,
	"image_url": false, "input_image": false, "image_embeds": false, "image_pil": false, "input_audio": false,
	"audio_url": false, "audio_embeds": false, "video_url": false, "video_embeds": false, "prompt_embeds": false,
}

// refuseParts refuses parts that vLLM does not know, and media on a text model.
func (o *Options) refuseParts(r *request) *refusal {
	for _, msg := range r.messages {
		for _, part := range msg.GetArray("content") {
			if isString(part) {
				continue
			}
			t := part.Get("type")
			if t == nil {
				return badRequest("type", "Missing 'type' field in multimodal part.")
			}
			if !isString(t) {
				return badRequest("type", "Invalid 'type' field in multimodal part.")
			}
			name := string(t.GetStringBytes())
			text, known := partTypes[name]
			if !known {
				return badRequest("type", fmt.Sprintf("Unsupported chat content part type: %s. Supported types: %s.",
					pyString(name), strings.Join(knownParts(), ", ")), name)
			}
			if !text && !o.Vision {
				return badRequest("", hideModel(o.Model)+" is not a multimodal model")
			}
		}
	}
	return nil
}

func hideModel(name string) string { return strings.TrimSuffix(hidePath(name), ".") }

func knownParts() []string {
	names := make([]string, 0, len(partTypes))
	for name := range partTypes {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// refuseOrder is what strict chat templates refuse (Qwen's for roles and the
// place of the system message, Mistral's and OpenAI's for calls and results).
// Options.OpenTemplate switches it off.
func (o *Options) refuseOrder(r *request) *refusal {
	if o.OpenTemplate {
		return nil
	}
	if len(r.messages) == 0 {
		return badRequest("", "No user query found in messages.")
	}
	developer := false // vLLM moves system messages to the front when there is a developer message
	for i := range r.messages {
		developer = developer || r.role(i) == "developer"
	}
	open := map[string]bool{} // calls that wait for a result
	for i, msg := range r.messages {
		role := r.role(i)
		if role != "tool" && len(open) > 0 {
			return unanswered(open)
		}
		switch role {
		case "system":
			if i > 0 && !developer {
				return badRequest("", "System message must be at the beginning.")
			}
		case "developer", "user":
		case "assistant":
			for j, call := range msg.GetArray("tool_calls") {
				if t := call.Get("type"); t != nil && string(t.GetStringBytes()) != "function" {
					return badRequest("tool_calls", "chat completions only support assistant tool_calls of type 'function'.")
				}
				id := string(call.GetStringBytes("id"))
				if id == "" || open[id] {
					return badRequest("", fmt.Sprintf("messages[%d].tool_calls[%d].id: %s is empty or used twice", i, j, pyString(id)))
				}
				open[id] = true
			}
		case "tool":
			id := string(msg.GetStringBytes("tool_call_id"))
			if !open[id] {
				return badRequest("", fmt.Sprintf("messages[%d]: messages with role 'tool' must be a response to a preceding message with 'tool_calls'; no open call has the id %s",
					i, pyString(id)))
			}
			delete(open, id)
		default:
			return badRequest("", "Unexpected message role.")
		}
	}
	if len(open) > 0 {
		return unanswered(open)
	}
	return nil
}

func unanswered(open map[string]bool) *refusal {
	ids := make([]string, 0, len(open))
	for id := range open {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return badRequest("", "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "+
		"The following tool_call_ids did not have response messages: "+strings.Join(ids, ", "))
}

// countPrompt counts the words of the messages' texts and of the tools, and
// four tokens per message for its frame.
func countPrompt(r *request) int {
	n := 3
	for _, msg := range r.messages {
		n += 4 + countTokens(contentText(msg.Get("content"))) + countTokens(string(msg.GetStringBytes("reasoning")))
		for _, call := range msg.GetArray("tool_calls") {
			n += countTokens(string(call.GetStringBytes("function", "name"))) + countTokens(string(call.GetStringBytes("function", "arguments")))
		}
		for _, part := range msg.GetArray("content") {
			if isObject(part) && !partTypes[string(part.GetStringBytes("type"))] {
				n += 256 // an image
			}
		}
	}
	for _, tool := range r.tools {
		n += 8 + countTokens(toolName(tool)) + countTokens(string(tool.GetStringBytes("function", "description")))
		if p := tool.Get("function", "parameters"); p != nil && p.Type() == fastjson.TypeObject {
			n += p.GetObject().Len()
		}
	}
	return n
}
