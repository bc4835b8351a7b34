package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"

	"antwort/server/state"
	"antwort/server/state/keeper"
	"antwort/server/state/postgres"
	"antwort/shared/config"
	"antwort/shared/policy"
)

// stateCmd are the commands for what is kept. They work beside a server.
type stateCmd struct {
	Stats   stateStatsCmd   `cmd:"" help:"Print how much is kept, and of how many owners."`
	Export  stateExportCmd  `cmd:"" help:"Print all responses and conversations of one owner, one JSON object a line."`
	Purge   statePurgeCmd   `cmd:"" help:"Remove all responses and conversations of one owner for good."`
	Migrate stateMigrateCmd `cmd:"" help:"Bring the tables of a Postgres up to date, for servers with state.postgres.migrate: check."`
}

func (stateCmd) Help() string {
	return `The store is that of the configuration: with state.type sqlite or postgres. A server may go on serving meanwhile; with memory only its metrics tell.

Example:

    antwort state purge --config antwort.yaml --tenant team-a`
}

// openState opens the store of the configuration.
func (f *configFlag) openState(ctx context.Context) (*config.Config, state.Store, error) {
	cfg, err := f.load()
	if err != nil {
		return nil, nil, err
	}
	store, err := keeper.OpenBeside(ctx, cfg)
	if err != nil {
		return nil, nil, usage(err)
	}
	if err := store.Ready(ctx); err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return cfg, store, nil
}

type stateStatsCmd struct {
	configFlag
}

func (stateStatsCmd) Help() string {
	return `Owners are digests: the configuration cannot be asked back who they are. The five with the most are listed.

Example:

    antwort state stats --config antwort.yaml`
}

// listed is how many owners stats lists.
const listed = 5

func (cmd *stateStatsCmd) Run(ctx context.Context, io *streams) (err error) {
	cfg, store, err := cmd.openState(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	usage, err := store.Usage(ctx)
	if err != nil {
		return err
	}
	type share struct {
		owner state.Owner
		used  state.Used
	}
	var all []share
	var sum state.Used
	for owner, used := range usage {
		all = append(all, share{owner, used})
		sum.Responses += used.Responses
		sum.Conversations += used.Conversations
		sum.Bytes += used.Bytes
	}
	slices.SortFunc(all, func(a, b share) int {
		return cmp.Or(cmp.Compare(b.used.Bytes, a.used.Bytes), slices.Compare(a.owner[:], b.owner[:]))
	})
	w := tabwriter.NewWriter(io.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "store\t%s\nowners\t%d\nresponses\t%d\nconversations\t%d\nbytes\t%d\n", cfg.StateType(), len(all), sum.Responses, sum.Conversations, sum.Bytes)
	for _, o := range all[:min(listed, len(all))] {
		fmt.Fprintf(w, "owner %s\t%d responses, %d conversations, %d bytes\n", hex.EncodeToString(o.owner[:]), o.used.Responses, o.used.Conversations, o.used.Bytes)
	}
	return w.Flush()
}

// ownerFlags say whose responses are meant.
type ownerFlags struct {
	Tenant  string `placeholder:"NAME" help:"The tenant, as auth.api_keys or the claim auth.jwt.tenant_claim has it."`
	Subject string `placeholder:"NAME" help:"The subject: with state.scope subject, or of a caller without a tenant."`
	All     bool   `help:"Everybody, which is one owner: with auth.type none."`
}

// owner is who is meant, by what the configuration makes an owner.
func (f *ownerFlags) owner(cfg *config.Config) (owner state.Owner, err error) {
	switch {
	case cfg.Auth.Type == config.NoAuth && (!f.All || f.Tenant+f.Subject != ""):
		err = errors.New("auth.type is none, so all callers are one owner: say --all, and neither --tenant nor --subject")
	case cfg.Auth.Type == config.NoAuth:
		return policy.Owner(cfg, nil), nil
	case f.All:
		err = errors.New("--all is for auth.type none: say --tenant, or --subject, or both")
	case cfg.State.Scope == config.SubjectScope && f.Subject == "":
		err = errors.New("state.scope is subject: say --subject, and --tenant where the caller has one")
	case cfg.State.Scope == config.TenantScope && f.Tenant != "" && f.Subject != "":
		err = errors.New("state.scope is tenant: all that its subjects have is the tenant's, so say --tenant alone")
	case f.Tenant+f.Subject == "":
		err = errors.New("say whose: --tenant, or --subject of a caller without one")
	}
	if err != nil {
		return owner, usage(err)
	}
	return policy.Owner(cfg, &policy.Identity{Tenant: f.Tenant, Subject: f.Subject}), nil
}

// owned are the flags of a command for what one owner has.
type owned struct {
	configFlag
	ownerFlags
}

// open opens the store for a command, and does it.
func (f *owned) open(ctx context.Context, do func(store state.Store, owner state.Owner) error) error {
	cfg, store, err := f.openState(ctx)
	if err != nil {
		return err
	}
	owner, err := f.owner(cfg)
	if err == nil {
		err = do(store, owner)
	}
	return errors.Join(err, store.Close())
}

type stateExportCmd struct{ owned }

func (stateExportCmd) Help() string {
	return `Each line has a response as it was answered, and the input of its request; the oldest is first. After them come the conversations, each with its items.

Example:

    antwort state export --config antwort.yaml --tenant team-a > team-a.jsonl`
}

// exported is a line of an export.
type exported struct {
	Input    json.RawMessage `json:"input"`
	Response json.RawMessage `json:"response"`
}

// exportedConversation is another one.
type exportedConversation struct {
	ID        string            `json:"conversation"`
	CreatedAt int64             `json:"created_at"`
	Metadata  json.RawMessage   `json:"metadata"`
	Items     []json.RawMessage `json:"items"`
}

func (cmd *stateExportCmd) Run(ctx context.Context, io *streams) error {
	return cmd.open(ctx, func(store state.Store, owner state.Owner) error {
		out := bufio.NewWriter(io.Out)
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		if err := store.Export(ctx, owner, func(r *state.Record) error {
			return lines.Encode(exported{r.Input, r.AppendResource(nil)})
		}); err != nil {
			return err
		}
		if err := state.EachConversation(ctx, store, owner, func(c *state.Conversation, items []state.Item) error {
			line := exportedConversation{"conv_" + c.ID, c.Created.Unix(), c.Metadata, make([]json.RawMessage, len(items))}
			for i := range items {
				line.Items[i] = items[i].Data
			}
			return lines.Encode(line)
		}); err != nil {
			return err
		}
		return out.Flush()
	})
}

type statePurgeCmd struct{ owned }

func (statePurgeCmd) Help() string {
	return `Nothing of it is left afterwards, but in backups. Conversations that are going on cannot be continued.

Example:

    antwort state purge --config antwort.yaml --tenant team-a`
}

func (cmd *statePurgeCmd) Run(ctx context.Context, io *streams) error {
	return cmd.open(ctx, func(store state.Store, owner state.Owner) error {
		removed, err := store.Purge(ctx, owner)
		if err != nil {
			return fmt.Errorf("%d responses and %d conversations were removed, then: %w", removed.Responses, removed.Conversations, err)
		}
		_, err = fmt.Fprintf(io.Out, "%d responses and %d conversations removed\n", removed.Responses, removed.Conversations)
		return err
	})
}

type stateMigrateCmd struct {
	configFlag
}

func (stateMigrateCmd) Help() string {
	return `Servers of the version before go on with the new tables only where its notes say so.

Example:

    ANTWORT_STATE_POSTGRES_DSN=postgres://owner@db/antwort antwort state migrate --config antwort.yaml`
}

func (cmd *stateMigrateCmd) Run(ctx context.Context, io *streams) error {
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	if cfg.StateType() != config.PostgresState {
		return usage(errors.New("state.type is " + cfg.StateType() + ": only the tables of a Postgres are brought up to date so"))
	}
	version, err := postgres.Migrate(ctx, cfg.State.Postgres.DSN.Reveal())
	if err != nil {
		return fmt.Errorf("state.postgres.dsn: %w", err)
	}
	_, err = fmt.Fprintf(io.Out, "the tables have version %d\n", version)
	return err
}
