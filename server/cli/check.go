package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"antwort/server"
	"antwort/server/state/keeper"
	"antwort/shared/config"
)

type checkCmd struct {
	configFlag
}

func (checkCmd) Help() string {
	return `Reads the file, the environment and the files of secrets, certificates and keys as "antwort serve" does, and contacts nobody. Exit code 0: it can be served; 2: it is wrong, and the errors say where.

Example:

    antwort check --config antwort.yaml`
}

func (cmd *checkCmd) Run(io *streams) error {
	c, err := cmd.load()
	if err != nil {
		return err
	}
	// Certificates and key sets are read as by serve. A store is left alone: a server
	// may have it.
	if _, err := server.New(c, server.Options{Store: keeper.Unopened()}); err != nil {
		return usage(err)
	}
	w := tabwriter.NewWriter(io.Out, 0, 0, 2, ' ', 0)
	for _, line := range meaning(c) {
		fmt.Fprintf(w, "%s\t%s\n", line.about, line.text)
	}
	for _, text := range slices.Concat(warnings(c), unguarded(c), forOneProcess(c), config.UnknownVariables(variables())) {
		fmt.Fprintf(w, "warning\t%s\n", text)
	}
	return w.Flush()
}

// variables are the names of the environment's variables.
func variables() []string {
	names := os.Environ()
	for i, pair := range names {
		names[i], _, _ = strings.Cut(pair, "=")
	}
	return names
}
