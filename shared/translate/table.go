//go:build !wasip1

package translate

import _ "embed"

// FieldsTable is FIELDS.md, which says of every field of a request what becomes of it.
// The tests of this package hold it against the code.
//
//go:embed FIELDS.md
var FieldsTable string
