package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
)

// Each file brings the tables one version further. None is ever changed.
//
//go:embed migrations/*.sql
var migrations embed.FS

// steps are the migrations, the first one for a file without tables.
func steps() ([]string, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	all := make([]string, len(names))
	for i, name := range names {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all[i] = string(text)
	}
	return all, nil
}

// migrate brings the tables to the version of this program, each step in one
// transaction; of a newer one it keeps its hands off. With check it only says whether
// they have it.
func migrate(ctx context.Context, conn *sql.Conn, steps []string, check bool) error {
	var version int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("cannot be read as an SQLite database: %w", err)
	}
	if version > len(steps) {
		return fmt.Errorf("was written by a newer antwort: its tables have version %d, this antwort knows %d; use the newer one, or another file", version, len(steps))
	}
	if check && version < len(steps) {
		return fmt.Errorf("was written by an older antwort: its tables have version %d, this antwort needs %d; antwort serve brings them up to date", version, len(steps))
	}
	for ; version < len(steps); version++ {
		if _, err := conn.ExecContext(ctx, fmt.Sprintf("BEGIN IMMEDIATE;\n%s;\nPRAGMA user_version = %d;\nCOMMIT", steps[version], version+1)); err != nil {
			_, _ = conn.ExecContext(ctx, "ROLLBACK")
			return fmt.Errorf("bringing its tables to version %d: %w", version+1, err)
		}
	}
	return nil
}
