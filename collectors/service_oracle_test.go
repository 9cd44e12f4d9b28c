package collectors_test

import (
	"bytes"
	"database/sql/driver"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"whalefall/collectors"
	"whalefall/collectors/collectortest"
	"whalefall/collectors/oracle"
	"whalefall/models"
	emulated "whalefall/testenv/oracle"
)

// newOracleFixture returns an instance with the tablespaces of collectortest.OracleTwoSchemas in its inventory.
func newOracleFixture(t *testing.T) (fixture, *emulated.Server, collectors.Target) {
	t.Helper()
	return newLoggedOracleFixture(t, io.Discard)
}

func newLoggedOracleFixture(t *testing.T, log io.Writer) (fixture, *emulated.Server, collectors.Target) {
	t.Helper()
	rows := collectortest.OracleTwoSchemas()
	rows["DBA_DATA_FILES"] = []map[string]any{
		collectortest.OracleFile("USERS", 1<<30), collectortest.OracleFile("DATA", 1<<20),
	}
	server := emulated.New(t, emulated.Options{Rows: rows})
	target := collectortest.OracleTarget(t, server, "APP", true)
	target.TLSMode = models.TLSPrefer
	c := oracle.New(nil)
	c.Connector = func(t collectors.Target) (driver.Connector, error) {
		return server.Connector(emulated.Login{
			Service: t.Database, SID: t.Options[models.OptionSID], Username: t.Username, Password: t.Password,
		}), nil
	}
	f := newLoggedFixture(t, models.Oracle, c, target, log)
	synced, err := f.sync()
	must(t, err)
	if len(synced.Found.Databases) != 3 || !synced.Found.Complete {
		t.Fatalf("got %+v", synced.Found)
	}
	return f, server, target
}

func TestService_Collect_OracleStoresEveryTablespace(t *testing.T) {
	t.Parallel()
	f, server, _ := newOracleFixture(t)
	rows := collectortest.OracleTwoSchemas()
	rows["DBA_TABLESPACES"] = append(rows["DBA_TABLESPACES"], collectortest.OracleTablespace("NEW", "PERMANENT"))
	server.SetRows(rows)
	receipt, err := f.refresh("USERS")
	must(t, err)
	header, found := f.snapshot("DATA")
	if receipt.Saved != 2 || header.SnapshotNo != 1 || !header.Complete ||
		found["U"].Total == nil || *found["U"].Total != 7 {
		t.Errorf("%+v, DATA has %+v: %v", receipt, header, found)
	}
	_, err = f.store.Database(t.Context(), f.instance.ID, "NEW")
	wantError(t, err, models.CodeNotFound, "database.not_found")
}

func TestService_Collect_GoneTablespaceKeepsSnapshot(t *testing.T) {
	t.Parallel()
	f, server, _ := newOracleFixture(t)
	_, err := f.refresh("USERS")
	must(t, err)
	rows := collectortest.OracleTwoSchemas()
	rows["DBA_TABLESPACES"] = rows["DBA_TABLESPACES"][:1]
	rows["DBA_SEGMENTS"] = rows["DBA_SEGMENTS"][:2]
	rows["DBA_TABLES"] = rows["DBA_TABLES"][:2]
	server.SetRows(rows)
	_, err = f.refresh("DATA")
	wantError(t, err, models.CodeCollection, collectors.KeyTablespaceGone)
	header, found := f.snapshot("DATA")
	if header.GoneAt == nil || header.SnapshotNo != 1 || len(found) != 1 {
		t.Errorf("header %+v, %d rows", header, len(found))
	}
	server.SetRows(collectortest.OracleTwoSchemas())
	_, err = f.refresh("USERS")
	must(t, err)
	if header, _ := f.snapshot("DATA"); header.GoneAt == nil || header.SnapshotNo != 1 {
		t.Errorf("nobody asked for DATA, and it is %+v", header)
	}
}

func TestService_Collect_OwnSegmentsPruneNoOthers(t *testing.T) {
	t.Parallel()
	f, server, target := newOracleFixture(t)
	_, err := f.refresh("USERS")
	must(t, err)
	rows := collectortest.OracleTwoSchemas()
	rows["DBA_SEGMENTS"] = append(rows["DBA_SEGMENTS"], collectortest.OracleSegment("APP", "V", "TABLE", "USERS", 5))
	rows["DBA_TABLES"] = append(slices.Clone(rows["DBA_TABLES"][1:]), collectortest.OracleTable("APP", "V", "USERS"))
	server.SetRows(rows)
	server.AddUser(t, emulated.User{Name: "APP", Password: target.Password})
	receipt, err := f.refresh("USERS")
	must(t, err)
	if receipt.Pruned != 1 || receipt.Complete || receipt.Grant == "" {
		t.Errorf("got %+v", receipt)
	}
	page, err := f.store.TableSizes(t.Context(), models.TableQuery{DatabaseID: f.database("USERS"), Sort: "schema"})
	must(t, err)
	var names []string
	for _, row := range page.Rows {
		names = append(names, row.Schema+"."+row.Name)
	}
	if got := strings.Join(names, " "); got != "APP.V OTHER.T" || page.Database.Scope != "APP" {
		t.Errorf("%s, scope %q", got, page.Database.Scope)
	}
	if header, found := f.snapshot("DATA"); header.SnapshotNo != 1 || len(found) != 1 {
		t.Errorf("DATA, of which APP sees nothing, is %+v", header)
	}
}

func (f fixture) database(name string) int64 {
	f.Helper()
	known, err := f.store.Database(f.Context(), f.instance.ID, name)
	must(f.T, err)
	return known.ID
}

func TestService_Collect_NewerSnapshotOfOtherTablespaceStays(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	f, server, _ := newLoggedOracleFixture(t, &log)
	server.Fail(func(text string) error {
		if strings.HasPrefix(text, "SELECT username, default_tablespace FROM dba_users") {
			_, err := f.store.SaveTableSizes(t.Context(), models.SaveTables{
				InstanceID: f.instance.ID, Database: "DATA", Result: models.TableResult{Complete: true},
				Started: time.Now(), CollectedAt: time.Now().Add(time.Minute),
			})
			return err
		}
		return nil
	})
	_, err := f.refresh("USERS")
	must(t, err)
	if header, found := f.snapshot("DATA"); header.SnapshotNo != 1 || len(found) != 0 {
		t.Errorf("DATA is %+v: %v", header, found)
	}
	if !strings.Contains(log.String(), "collect.superseded") {
		t.Errorf("the log says %s", log.String())
	}
}
