package main

import "fmt"

// layer is a server without one or both of what it does itself instead of net/http:
// the client for backends, and the connections of streams that it takes over. The
// server with both is a target anyway.
type layer struct{ name, transport, takeOver string }

var serverLayers = []layer{
	{"server, neither layer", "std", "false"},
	{"server, own client only", "own", "false"},
	{"server, take-over only", "std", "true"},
}

func layerNames() (names []string) {
	for _, l := range serverLayers {
		names = append(names, l.name)
	}
	return names
}

// layers starts them.
func (s *stage) layers(llm target) error {
	for _, l := range serverLayers {
		if !s.only.has(l.name) {
			continue
		}
		t, err := s.configured(l.name, "serve", func(port int) string {
			return fmt.Sprintf(
				"server: {host: 127.0.0.1, port: %d, take_over: %s}\nengine: {provider: vllm, backend_url: %s, transport: %s}\nstate: {type: none}\nobservability: {log: {level: warn}}\n",
				port, l.takeOver, llm.url, l.transport)
		})
		if err := s.add(t, err, proxyName); err != nil {
			return err
		}
	}
	return nil
}
