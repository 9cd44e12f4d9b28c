package collectors

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"whalefall/models"
	"whalefall/testenv/oracle"
)

// newOracleHouse has the tablespaces of twoSchemas in its inventory.
func newOracleHouse(t *testing.T) (house, *oracle.Server, Target) {
	t.Helper()
	rows := twoSchemas()
	rows["DBA_DATA_FILES"] = []map[string]any{oracleFile("USERS", 1<<30), oracleFile("DATA", 1<<20)}
	server := oracle.New(t, oracle.Options{Rows: rows})
	target := oracleTarget(t, server, "APP", true)
	target.TLSMode = models.TLSPrefer
	h := newHouse(t, models.Oracle, oracleAt(server), target)
	synced, err := h.service.SyncCapacity(t.Context(), models.Requester{}, h.instance.ID)
	must(t, err)
	if len(synced.Found.Databases) != 3 || !synced.Found.Complete {
		t.Fatalf("got %+v", synced.Found)
	}
	return h, server, target
}

func TestOneReadingIsStoredForEveryKnownTablespace(t *testing.T) {
	h, server, _ := newOracleHouse(t)
	rows := twoSchemas()
	rows["DBA_TABLESPACES"] = append(rows["DBA_TABLESPACES"], oracleSpace("NEW", "PERMANENT"))
	server.SetRows(rows)
	receipt, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "USERS")
	must(t, err)
	header, found := h.snapshot("DATA")
	if receipt.Saved != 2 || header.SnapshotNo != 1 || !header.Complete || found["U"].Total == nil || *found["U"].Total != 7 {
		t.Errorf("%+v, DATA has %+v: %v", receipt, header, found)
	}
	_, err = h.store.Database(t.Context(), h.instance.ID, "NEW")
	wantError(t, err, models.CodeNotFound, "database.not_found")
}

func TestATablespaceThatIsGoneKeepsItsSnapshot(t *testing.T) {
	h, server, _ := newOracleHouse(t)
	_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "USERS")
	must(t, err)
	rows := twoSchemas()
	rows["DBA_TABLESPACES"] = rows["DBA_TABLESPACES"][:1]
	rows["DBA_SEGMENTS"] = rows["DBA_SEGMENTS"][:2]
	rows["DBA_TABLES"] = rows["DBA_TABLES"][:2]
	server.SetRows(rows)
	_, err = h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "DATA")
	wantError(t, err, models.CodeCollection, KeyTablespaceGone)
	header, found := h.snapshot("DATA")
	if header.GoneAt == nil || header.SnapshotNo != 1 || len(found) != 1 {
		t.Errorf("header %+v, %d rows", header, len(found))
	}
	server.SetRows(twoSchemas())
	_, err = h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "USERS")
	must(t, err)
	if header, _ := h.snapshot("DATA"); header.GoneAt == nil || header.SnapshotNo != 1 {
		t.Errorf("nobody asked for DATA, and it is %+v", header)
	}
}

func TestOwnSegmentsNeverRetireThoseOfOthers(t *testing.T) {
	h, server, target := newOracleHouse(t)
	_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "USERS")
	must(t, err)
	rows := twoSchemas()
	rows["DBA_SEGMENTS"] = append(rows["DBA_SEGMENTS"], oraclePart("APP", "V", "TABLE", "USERS", 5))
	rows["DBA_TABLES"] = append(slices.Clone(rows["DBA_TABLES"][1:]), oracleHeap("APP", "V", "USERS"))
	server.SetRows(rows)
	server.AddUser(t, oracle.User{Name: "APP", Password: target.Password})
	receipt, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "USERS")
	must(t, err)
	if receipt.Pruned != 1 || receipt.Complete || receipt.Grant == "" {
		t.Errorf("got %+v", receipt)
	}
	page, err := h.store.TableSizes(t.Context(), models.TableQuery{DatabaseID: h.database("USERS"), Sort: "schema"})
	must(t, err)
	var names []string
	for _, row := range page.Rows {
		names = append(names, row.Schema+"."+row.Name)
	}
	if got := strings.Join(names, " "); got != "APP.V OTHER.T" || page.Database.Scope != "APP" {
		t.Errorf("%s, scope %q", got, page.Database.Scope)
	}
	if header, found := h.snapshot("DATA"); header.SnapshotNo != 1 || len(found) != 1 {
		t.Errorf("DATA, of which APP sees nothing, is %+v", header)
	}
}

func (h house) database(name string) int64 {
	h.Helper()
	known, err := h.store.Database(h.Context(), h.instance.ID, name)
	must(h.T, err)
	return known.ID
}

func TestANewerSnapshotOfAnotherTablespaceStays(t *testing.T) {
	h, server, _ := newOracleHouse(t)
	var log bytes.Buffer
	h.service.log = slog.New(slog.NewTextHandler(&log, nil))
	server.Fail(func(text string) error {
		if strings.Contains(text, "dba_users") {
			_, err := h.store.SaveTableSizes(t.Context(), models.SaveTables{
				DatabaseID: h.database("DATA"), Result: models.TableResult{Complete: true},
				Started: time.Now(), CollectedAt: time.Now().Add(time.Minute),
			})
			return err
		}
		return nil
	})
	_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "USERS")
	must(t, err)
	if header, found := h.snapshot("DATA"); header.SnapshotNo != 1 || len(found) != 0 {
		t.Errorf("DATA is %+v: %v", header, found)
	}
	if !strings.Contains(log.String(), "collect.superseded") {
		t.Errorf("the log says %s", log.String())
	}
}

func TestOneReadingAnswersAllWhoWaitForIt(t *testing.T) {
	h, server, _ := newOracleHouse(t)
	release := server.Block(t)
	before := len(server.Queries())
	databases := []string{"USERS", "DATA"}
	errs := make(chan error, len(databases))
	for i, name := range databases {
		go func() {
			receipt, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, name)
			if err == nil && (receipt.Saved == 0 || !receipt.Complete || receipt.CollectedAt.IsZero()) {
				t.Errorf("the receipt of %s is %+v", name, receipt)
			}
			errs <- err
		}()
		h.waitUntil(func() bool {
			h.service.mu.Lock()
			defer h.service.mu.Unlock()
			return len(h.service.runs) == i+1 && len(server.Queries()) > before
		})
	}
	release()
	for range databases {
		must(t, <-errs)
	}
	readings := 0
	for _, query := range server.Queries()[before:] {
		if strings.Contains(query, "dba_segments") {
			readings++
		}
	}
	for _, name := range databases {
		if header, _ := h.snapshot(name); readings != 1 || header.SnapshotNo != 1 {
			t.Errorf("%d readings, %s is %+v", readings, name, header)
		}
	}
}

func TestWaitingForAReadingEndsWithTheService(t *testing.T) {
	h, server, _ := newOracleHouse(t)
	server.Block(t)
	before := len(server.Queries())
	errs := make(chan error, 2)
	for i, name := range []string{"USERS", "DATA"} {
		go func() {
			_, err := h.service.Refresh(t.Context(), models.Requester{}, h.instance.ID, name)
			errs <- err
		}()
		h.waitUntil(func() bool {
			h.service.mu.Lock()
			defer h.service.mu.Unlock()
			return len(h.service.runs) == i+1 && len(server.Queries()) > before
		})
	}
	must(t, h.service.Close(t.Context()))
	for range 2 {
		wantError(t, <-errs, models.CodeCollection, "collect.cancelled")
	}
}

// A service that closes while a run is being kept in the store ends it as it ends one that is under way.
func TestClosingWhileARunBegins(t *testing.T) {
	h, server, _ := newOracleHouse(t)
	server.Block(t)
	for range 40 {
		service := NewService(h.store, h.service.engines, h.service.log)
		ended := make(chan error, 1)
		go func() {
			_, err := service.Refresh(t.Context(), models.Requester{}, h.instance.ID, "USERS")
			ended <- err
		}()
		h.waitUntil(func() bool {
			service.mu.Lock()
			defer service.mu.Unlock()
			return len(service.runs) == 1
		})
		must(t, service.Close(t.Context()))
		wantError(t, <-ended, models.CodeCollection, "collect.cancelled")
	}
}

func (h house) waitUntil(done func() bool) {
	h.Helper()
	for deadline := time.Now().Add(5 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			h.Fatal("waited in vain")
		}
	}
}
