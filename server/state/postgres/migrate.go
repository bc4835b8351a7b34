package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

// Each file brings the tables one version further. None is ever changed.
//
//go:embed migrations/*.sql
var migrations embed.FS

// steps are the migrations, the first one for a database without tables.
func steps() []string {
	names, err := fs.Glob(migrations, "migrations/*.sql") // sorted
	if err != nil {
		panic(err) // the pattern is constant
	}
	all := make([]string, len(names))
	for i, name := range names {
		text, err := migrations.ReadFile(name)
		if err != nil {
			panic(err) // it is in the binary
		}
		all[i] = string(text)
	}
	return all
}

// errTables is that the tables are not those of this antwort.
var errTables = errors.New("its tables do not fit")

// lockKey is who may make tables: one process at a time, in one database.
const lockKey = 0x616e7477 // "antw"

// migrate brings the tables to the version of this program, each step in one
// transaction. With check it only says whether they are.
func migrate(ctx context.Context, conn *pgx.Conn, steps []string, check bool) error {
	for {
		version, err := versionOf(ctx, conn)
		switch {
		case err != nil:
			return err
		case version == len(steps):
			return nil
		case version > len(steps):
			return fmt.Errorf("%w: a newer antwort made them, version %d, and this one knows %d; use the newer one, or another database", errTables, version, len(steps))
		case check:
			return fmt.Errorf("%w: they have version %d, and this antwort needs %d; run \"antwort state migrate\" as a user that may make tables, or set state.postgres.migrate to auto", errTables, version, len(steps))
		}
		if err := step(ctx, conn, steps); err != nil {
			return err
		}
	}
}

// step makes the next step, unless another process has.
func step(ctx context.Context, conn *pgx.Conn, steps []string) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // does nothing after Commit
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", lockKey); err != nil {
		return err
	}
	version, err := versionOf(ctx, conn)
	if err != nil || version >= len(steps) {
		return err
	}
	text := fmt.Sprintf(`%s;
		CREATE TABLE IF NOT EXISTS antwort_meta (version integer NOT NULL);
		DELETE FROM antwort_meta;
		INSERT INTO antwort_meta VALUES (%d)`, steps[version], version+1)
	if _, err := conn.PgConn().Exec(ctx, text).ReadAll(); err != nil {
		if lost(err) {
			return err
		}
		return fmt.Errorf("%w: bringing them to version %d: %w", errTables, version+1, err)
	}
	return tx.Commit(ctx)
}

// versionOf is the version of the tables, 0 where there are none. It reads the catalogue's
// rows: what to_regclass knows may be from before the lock that step has waited for.
func versionOf(ctx context.Context, conn *pgx.Conn) (version int, err error) {
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relname = 'antwort_meta' AND pg_catalog.pg_table_is_visible(oid))").Scan(&there); err != nil || !there {
		return 0, err
	}
	err = conn.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM antwort_meta").Scan(&version)
	return version, err
}
