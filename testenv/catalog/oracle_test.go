package catalog_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"whalefall/testenv/catalog"
)

// TestOracleCases_BytesAddUp checks that the tables and the residual of a tablespace add up to its segments.
func TestOracleCases_BytesAddUp(t *testing.T) {
	t.Parallel()
	for _, c := range catalog.Cases(t, "oracle") {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			var want map[string]catalog.Want
			c.DecodeWant(t, &want)
			got := map[string]int64{}
			for tablespace, w := range want {
				if w.Residual == nil || w.Scope != c.AsUser {
					t.Fatalf("%s: residual %v, scope %q", tablespace, w.Residual, w.Scope)
				}
				got[tablespace] = *w.Residual
				for _, table := range w.Tables {
					got[tablespace] += known(table.Total)
				}
			}
			if diff := cmp.Diff(ledger(t, c), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// ledger returns the bytes of the segments in each tablespace, as the case's user sees them.
func ledger(t *testing.T, c catalog.Case) map[string]int64 {
	t.Helper()
	bytes := map[string]int64{}
	for _, row := range c.Rows["DBA_TABLESPACES"] {
		bytes[row["TABLESPACE_NAME"].(string)] = 0
	}
	for _, row := range c.Rows["DBA_SEGMENTS"] {
		if c.AsUser != "" && row["OWNER"] != c.AsUser {
			continue
		}
		n, err := row["BYTES"].(json.Number).Int64()
		if err != nil {
			t.Fatal(err)
		}
		bytes[row["TABLESPACE_NAME"].(string)] += n
	}
	return bytes
}

func TestOracleCases_TablesAreConsistent(t *testing.T) {
	t.Parallel()
	for _, c := range catalog.Cases(t, "oracle") {
		var want map[string]catalog.Want
		c.DecodeWant(t, &want)
		for tablespace, w := range want {
			seen := map[[3]string]bool{}
			for _, table := range w.Tables {
				at := []string{c.Name, tablespace, table.Schema, table.Name}
				id := [3]string{table.Schema, table.Name, table.Kind}
				if seen[id] || c.AsUser != "" && table.Schema != c.AsUser {
					t.Errorf("%q: listed twice, or of another schema", at)
				}
				seen[id] = true
				if table.Unused != nil || (table.Rows == nil) != (table.RowsSource == "") ||
					(table.RowsAt != nil) != (table.RowsSource == "statistic") {
					t.Errorf("%q: unused %v, rows from %q of %v", at, table.Unused, table.RowsSource, table.RowsAt)
				}
				if !slices.Contains([]string{"table", "cluster", "recycle_bin", "temporary", "external"}, table.Kind) {
					t.Errorf("%q: kind %q", at, table.Kind)
				}
				if known(table.Total) != known(table.Data)+known(table.Index) || (table.Total == nil) != (table.Index == nil) {
					t.Errorf("%q: total is not data and index", at)
				}
			}
		}
	}
}

func known(bytes *int64) int64 {
	if bytes == nil {
		return 0
	}
	return *bytes
}
