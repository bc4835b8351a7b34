package codex

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// TestMain lets the test's own binary be the MCP server of Codex's
// configuration.
func TestMain(m *testing.M) {
	if os.Getenv("E2E_MCP") == "1" {
		serveMCP()
		return
	}
	os.Exit(m.Run())
}

// serveMCP answers on standard input and output, one JSON document a line, with
// one tool: lookup.
func serveMCP() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var request struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Params struct {
				ProtocolVersion string            `json:"protocolVersion"`
				Arguments       map[string]string `json:"arguments"`
			} `json:"params"`
		}
		if json.Unmarshal(in.Bytes(), &request) != nil || request.ID == nil {
			continue // a notification
		}
		var result any
		switch request.Method {
		case "initialize":
			result = map[string]any{"protocolVersion": request.Params.ProtocolVersion,
				"capabilities": map[string]any{"tools": map[string]any{}}, "serverInfo": map[string]any{"name": "docs", "version": "1"}}
		case "tools/list":
			result = map[string]any{"tools": []any{map[string]any{"name": "lookup", "description": "Looks a page up in the manual.",
				"inputSchema": map[string]any{"type": "object", "properties": map[string]any{"page": map[string]any{"type": "string"}}, "required": []string{"page"}}}}}
		case "tools/call":
			result = map[string]any{"content": []any{map[string]any{"type": "text", "text": "page " + request.Params.Arguments["page"] + " says: turn left"}}}
		default:
			result = map[string]any{}
		}
		answer, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": request.ID, "result": result})
		fmt.Println(string(answer))
	}
}

// mcpServer is the configuration of that server.
func mcpServer(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("[mcp_servers.docs]\ncommand = %q\nenv = { E2E_MCP = \"1\" }\n", program)
}
