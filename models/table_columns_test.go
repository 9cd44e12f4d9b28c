package models_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"whalefall/models"
)

// TestFingerprint_Stable holds fingerprints against values that earlier releases have stored: other ones would make the
// first refresh after an upgrade rewrite every row.
func TestFingerprint_Stable(t *testing.T) {
	t.Parallel()
	counted := start
	kept := start.Add(-time.Hour)
	for name, c := range map[string]struct {
		row  models.DatabaseTableSizeStat
		want int64
	}{
		"zero": {models.DatabaseTableSizeStat{}, -6160302883902982337},
		"table": {models.DatabaseTableSizeStat{TableSize: models.TableSize{
			Schema: "public", Name: "orders", Kind: models.KindTable,
			Total: pointer(int64(24576)), Data: pointer(int64(16384)), Index: pointer(int64(8192)), Unused: pointer(int64(0)),
			Rows: pointer(int64(12)), RowsSource: models.RowsStatistic, RowsAt: &counted, SizeSource: models.SizeAllocated,
		}}, -383979781926630664},
		"every value": {models.DatabaseTableSizeStat{KeptFrom: &kept, TableSize: models.TableSize{
			Schema: "s", Name: "t", Kind: models.KindPartition, ParentSchema: "s", Parent: "p", RolledUp: true,
			Total: pointer(int64(1)), Data: pointer(int64(2)), Index: pointer(int64(3)), Unused: pointer(int64(4)),
			Memory: pointer(int64(5)), Rows: pointer(int64(6)), RowsSource: models.RowsExact, RowsAt: &counted,
			SizeSource: models.SizeStatistic, StatsStale: true, Unread: models.UnreadLocked,
			Note: models.NoteHistory, RelatedSchema: "r", Related: "q",
		}}, -2529805589950786977},
		"unread": {models.DatabaseTableSizeStat{TableSize: models.TableSize{
			Schema: "public", Name: "x", Kind: models.KindTable, SizeSource: models.SizeNone, Unread: models.UnreadFailed,
		}}, 3688716951032283966},
	} {
		if got := c.row.Fingerprint(); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

// set gives a field of TableSize the n-th of its values, none of which is the zero value.
func set(t *testing.T, field reflect.Value, n int) {
	t.Helper()
	switch field.Interface().(type) {
	case *int64:
		field.Set(reflect.ValueOf(pointer(int64(1000 + n))))
	case *time.Time:
		field.Set(reflect.ValueOf(pointer(start.Add(-time.Duration(n) * time.Hour))))
	case bool:
		field.SetBool(n%2 == 1)
	default:
		if field.Kind() != reflect.String {
			t.Fatalf("no values for %s", field.Type())
		}
		field.SetString(fmt.Sprintf("value %d", n))
	}
}

// TestStore_SaveTableSizes_EveryField changes one field of TableSize after the other: each change must be noticed,
// stored and read back, and so must the zero value.
func TestStore_SaveTableSizes_EveryField(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		var table models.TableSize
		fields := reflect.ValueOf(&table).Elem()
		for i := range fields.NumField() {
			if fields.Type().Field(i).Name != "Unread" { // keeps the stored sizes, and is changed last
				set(f.T, fields.Field(i), 2*i+1)
			}
		}
		f.refresh(database, true, table)

		save := func(what string, identity bool) {
			f.Helper()
			receipt := f.refresh(database, true, table)
			equal(f, what+": rows noticed", receipt.Changed, 1)
			equal(f, what+": rows replaced", receipt.Pruned == 1, identity)
			equal(f, what+": noticed again", f.refresh(database, true, table).Changed, 0)
			page := f.tables(models.TableQuery{DatabaseID: database.ID})
			if len(page.Rows) != 1 || !reflect.DeepEqual(page.Rows[0].TableSize, table) {
				f.Errorf("%s: got %+v, want %+v", what, page.Rows, table)
			}
		}
		for i := range fields.NumField() {
			name := fields.Type().Field(i).Name
			if name == "Unread" {
				continue
			}
			identity := name == "Schema" || name == "Name"
			set(f.T, fields.Field(i), 2*i+2)
			save(name, identity)
			if !fields.Field(i).IsZero() {
				fields.Field(i).SetZero()
				save(name+" zero", identity)
			}
			set(f.T, fields.Field(i), 2*i+1)
			save(name+" again", identity)
		}

		measured := f.clock.Now()
		for _, reason := range []models.Unread{models.UnreadLocked, models.UnreadFailed} {
			table.Unread = reason
			equal(f, "Unread: rows noticed", f.refresh(database, true, table).Changed, 1)
			equal(f, "Unread: noticed again", f.refresh(database, true, table).Changed, 0)
			row := f.tables(models.TableQuery{DatabaseID: database.ID}).Rows[0]
			equal(f, "KeptFrom", *row.KeptFrom, measured)
			if !reflect.DeepEqual(row.TableSize, table) {
				f.Errorf("Unread: got %+v, want %+v", row.TableSize, table)
			}
		}
	})
}

// TestStore_SaveTableSizes_KeptFrom changes nothing but the run that a row's values come from.
func TestStore_SaveTableSizes_KeptFrom(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		database := f.database()
		f.refresh(database, true, table("a", 10))
		measured := f.clock.Now()
		for _, changed := range []int64{1, 0} {
			equal(f, "rows noticed", f.refresh(database, false).Changed, changed)
			row := f.tables(models.TableQuery{DatabaseID: database.ID}).Rows[0]
			equal(f, "KeptFrom", *row.KeptFrom, measured)
		}
	})
}
