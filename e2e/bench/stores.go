package main

import (
	"fmt"
	"path/filepath"
)

// store is a server that keeps responses. The server without one is a target
// anyway, and so is its measure.
type store struct{ name, state string }

// serverStores are all stores, that in Postgres where the address of one is given.
func serverStores(dir, postgres string) []store {
	all := []store{
		{"server, stored in memory", "{type: memory}"},
		{"server, stored in SQLite", "{type: sqlite, sqlite: {path: " + filepath.Join(dir, "responses.db") + "}}"},
	}
	if postgres != "" {
		all = append(all, store{"server, stored in Postgres", fmt.Sprintf("{type: postgres, postgres: {dsn: %q}}", postgres)})
	}
	return all
}

func (s *stage) storeNames() (names []string) {
	for _, st := range serverStores("", s.postgres) {
		names = append(names, st.name)
	}
	return names
}

// stores starts them.
func (s *stage) stores(llm, server target) error {
	for _, st := range serverStores(s.dir, s.postgres) {
		if !s.only.has(st.name) {
			continue
		}
		t, err := s.configured(st.name, "serve", func(port int) string {
			return fmt.Sprintf(
				"server: {host: 127.0.0.1, port: %d}\nengine: {provider: vllm, backend_url: %s}\nstate: %s\nobservability: {log: {level: warn}}\n",
				port, llm.url, st.state)
		})
		if err := s.add(t, err, server.name); err != nil {
			return err
		}
	}
	return nil
}
