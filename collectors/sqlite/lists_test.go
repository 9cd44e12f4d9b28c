package sqlite

import (
	"database/sql"
	"testing"

	"whalefall/collectors/collectortest"
)

// Every b-tree has a page: one of which none arrives shows that the list of pages was cut.
func TestCatalog_ReadPages_Cut(t *testing.T) {
	t.Parallel()
	f := setup(t)
	err := readFile(t.Context(), f.Target.Database, true, func(tx *sql.Tx) error {
		found, err := readCatalog(t.Context(), tx)
		if err != nil || found.short {
			t.Errorf("got short %v, %v; want all", found.short, err)
		}

		found.btrees = append(found.btrees, bTree{name: "without a page", kind: "index"})
		if err := found.readPages(t.Context(), tx); err != nil || !found.short {
			t.Errorf("got short %v, %v; want short", found.short, err)
		}
		return nil
	})
	collectortest.Must(t, err)
}
