// Requests to begin with.

const question = (text) => [{ type: "message", role: "user", content: [{ type: "input_text", text }] }];

export const examples = [
  { name: "A question, streamed", body: { model: "", stream: true, instructions: "Answer in one sentence.", input: "What is the capital of France? Answer in one sentence." } },
  { name: "A question, answered whole", body: { model: "", input: question("What is the capital of France? Answer in one sentence.") } },
  {
    name: "A tool to call", body: {
      model: "", stream: true, input: "What is the weather in Paris?", tool_choice: "required",
      tools: [{ type: "function", name: "weather", description: "The weather of a city.", strict: true, parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false } }],
    },
  },
  {
    name: "A turn after a tool", body: {
      model: "", stream: true, input: [
        ...question("What is the weather in Paris?"),
        { type: "function_call", call_id: "call_1", name: "weather", arguments: "{\"city\":\"Paris\"}" },
        { type: "function_call_output", call_id: "call_1", output: "18 °C, sunny" }],
      tools: [{ type: "function", name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } }],
    },
  },
  { name: "JSON by a schema", body: { model: "", stream: true, input: "Name a city.", text: { format: { type: "json_schema", name: "city", strict: true, schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false } } } } },
  { name: "With thoughts", body: { model: "", stream: true, reasoning: { effort: "medium", summary: "auto" }, input: "Count from 1 to 5." } },
  { name: "One that is refused", body: { model: "", input: "Hello.", temperature: 9 } },
];
