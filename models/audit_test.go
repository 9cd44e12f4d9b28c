package models_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"whalefall/models"
)

func (f *fixture) record(entries ...models.AuditEntry) {
	f.Helper()
	for _, e := range entries {
		check(f, f.RecordAudit(f.ctx, e))
	}
}

// wantLog checks the targets of the entries that the query selects, newest first.
func (f *fixture) wantLog(q models.AuditQuery, targets ...string) {
	f.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	page, err := f.AuditLog(f.ctx, q)
	check(f, err)
	names := []string{}
	for _, e := range page.Entries {
		names = append(names, e.TargetName)
	}
	equal(f, fmt.Sprintf("%+v", q), fmt.Sprintf("%q", names), fmt.Sprintf("%q", append([]string{}, targets...)))
}

func TestStore_AuditLog(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		user := f.user("user", models.RoleUser)
		entry := models.AuditEntry{
			UserID: &user.ID, Username: "user", TokenName: "ci",
			Action: models.ActionDeleteTag, TargetID: &user.ID, TargetName: "核心",
			Method: "DELETE", Path: "/api/v1/tags/7", IP: "192.0.2.7",
			Status: 409, MessageCode: models.CodeConflict, RequestID: "abc",
		}
		entry.At, entry.ID = start.Add(-time.Hour), 4711 // both are the store's to give
		f.record(entry, models.AuditEntry{Action: models.ActionLogin})
		page, err := f.AuditLog(f.ctx, models.AuditQuery{Limit: 10})
		check(f, err)
		equal(f, "total", page.Total, 2)
		none, got := page.Entries[0], page.Entries[1]
		equal(f, "at", got.At, start)
		if got.ID == 4711 || got.ID < 1 {
			t.Errorf("id %d", got.ID)
		}
		equal(f, "user", *got.UserID, user.ID)
		equal(f, "target", *got.TargetID, user.ID)
		got.ID, got.At, got.UserID, got.TargetID = entry.ID, entry.At, entry.UserID, entry.TargetID
		equal(f, "entry", got, entry)
		equal(f, "result", got.Result(), models.AuditFailure)
		equal(f, "result", none.Result(), models.AuditSuccess)
		if none.UserID != nil || none.TargetID != nil {
			t.Errorf("an entry of nobody about nothing: %+v", none)
		}
	})
}

func TestStore_AuditLog_Filters(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		hostile := []string{
			`a"b`, `<script>alert(1)</script>`, `x'; DROP TABLE audit_log; --`, `100%_`, `a/b`, "two\nlines", `back\slash`,
			"İzmir 鲸",
		}
		for _, name := range hostile {
			f.record(models.AuditEntry{Username: "admin", Action: models.ActionRefreshTables, TargetName: name})
			f.wantLog(models.AuditQuery{Target: name}, name)
		}
		f.record(models.AuditEntry{
			Username: "admin\x00", Action: models.ActionLogin, TargetName: "nul\x00 and \xff", Path: "/a\x00",
		})
		f.wantLog(models.AuditQuery{Action: models.ActionLogin}, "nul and �")
		f.wantLog(models.AuditQuery{Target: "%"}, `100%_`)
		f.wantLog(models.AuditQuery{Target: "_"}, `100%_`, hostile[2])
		f.wantLog(models.AuditQuery{Target: `\`}, `back\slash`)
		f.wantLog(models.AuditQuery{Target: "ALERT(1)"}, hostile[1])
		f.wantLog(models.AuditQuery{Target: "a\x00"})
		f.wantLog(models.AuditQuery{Username: "a\x00"})
		f.wantLog(models.AuditQuery{Username: "adm"})

		failed := models.AuditEntry{
			Username: "User", Action: models.ActionCreateUser, TargetName: "failed", MessageCode: models.CodeInvalid,
		}
		done := models.AuditEntry{Username: "user", Action: models.ActionCreateUser, TargetName: "done"}
		f.record(failed, done)
		f.wantLog(models.AuditQuery{Username: "user"}, "done")
		f.wantLog(models.AuditQuery{Username: "User"}, "failed")
		f.wantLog(models.AuditQuery{Action: models.ActionCreateUser}, "done", "failed")
		f.wantLog(models.AuditQuery{Result: models.AuditFailure}, "failed")
		f.wantLog(models.AuditQuery{Result: models.AuditSuccess, Action: models.ActionCreateUser}, "done")
		f.wantLog(models.AuditQuery{
			Username: "user", Action: models.ActionCreateUser, Target: "ON", Result: models.AuditSuccess,
		}, "done")
	})
}

func TestStore_AuditLog_DaysOfTheZone(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		// The clock begins on the 10th in Shanghai, which is the 9th in UTC.
		midnight := time.Date(2026, 3, 10, 16, 0, 0, 0, time.UTC) // of the 11th
		f.record(models.AuditEntry{TargetName: "10th"})
		f.clock.add(midnight.Add(-time.Microsecond).Sub(f.clock.Now()))
		f.record(models.AuditEntry{TargetName: "10th, last"})
		f.clock.add(time.Microsecond)
		f.record(models.AuditEntry{TargetName: "11th, first"})

		f.wantLog(models.AuditQuery{StartDay: "2026-03-10", EndDay: "2026-03-10"}, "10th, last", "10th")
		f.wantLog(models.AuditQuery{StartDay: "2026-03-11"}, "11th, first")
		f.wantLog(models.AuditQuery{EndDay: "2026-03-10"}, "10th, last", "10th")
		f.wantLog(models.AuditQuery{EndDay: "2026-03-09"})
		f.wantLog(models.AuditQuery{StartDay: "0001-01-01", EndDay: "9999-12-31"}, "11th, first", "10th, last", "10th")
		f.wantLog(models.AuditQuery{StartDay: "0000-01-01"}, "11th, first", "10th, last", "10th")
		f.wantLog(models.AuditQuery{StartDay: "9999-12-31"})
		f.wantLog(models.AuditQuery{EndDay: "0000-01-01"})
	})
}

func TestStore_AuditLog_Pages(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		for i := range 25 {
			f.record(models.AuditEntry{Username: []string{"even", "odd"}[i%2], TargetName: fmt.Sprint(i)})
		}
		f.wantLog(models.AuditQuery{Limit: 3}, "24", "23", "22")
		f.wantLog(models.AuditQuery{Limit: 3, Offset: 23}, "1", "0")
		f.wantLog(models.AuditQuery{Limit: 3, Offset: 25})
		f.wantLog(models.AuditQuery{Username: "odd", Limit: 2, Offset: 2}, "19", "17")
		page, err := f.AuditLog(f.ctx, models.AuditQuery{Username: "odd", Limit: 2, Offset: 100})
		check(f, err)
		equal(f, "total", page.Total, 12)
		f.record(models.AuditEntry{TargetName: strings.Repeat("鲸", 300)})
		f.wantLog(models.AuditQuery{Target: strings.Repeat("鲸", 300)}, strings.Repeat("鲸", 300))
	})
}

func TestStore_PruneAudit(t *testing.T) {
	onBothStores(t, func(f *fixture) {
		record := func(name string) {
			check(f, f.RecordAudit(f.ctx, models.AuditEntry{Action: models.ActionLogin, Username: name}))
		}
		record("old")
		f.clock.add(time.Hour)
		record("new")
		pruned, err := f.PruneAudit(f.ctx, f.Now())
		check(f, err)
		equal(f, "pruned", pruned, 1)
		page, err := f.AuditLog(f.ctx, models.AuditQuery{Limit: 10})
		check(f, err)
		equal(f, "left", page.Entries[0].Username, "new")
		equal(f, "total", page.Total, 1)
	})
}
