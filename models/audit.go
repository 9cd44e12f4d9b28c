package models

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// auditTimeout limits how long one entry may wait for the store. A SQLite store accepts no other write while it saves
// a large snapshot: some seconds for 100,000 tables, half a minute for a million.
const auditTimeout = time.Minute

var errAuditTimeout = fmt.Errorf("the audit log did not take an entry within %s", auditTimeout)

// Action names what a user did in the audit log: the kind of object, a dot, and the verb.
type Action string

// The actions that are recorded, of pages and API alike.
const (
	ActionLogin          Action = "auth.login"
	ActionLogout         Action = "auth.logout"
	ActionChangePassword Action = "auth.change_password"
	ActionEndSession     Action = "auth.end_session"
	ActionEndSessions    Action = "auth.end_sessions"

	ActionCreateUser Action = "user.create"
	ActionUpdateUser Action = "user.update"
	ActionDeleteUser Action = "user.delete"

	ActionCreateToken Action = "token.create"
	ActionDeleteToken Action = "token.delete"

	ActionCreateCredential Action = "credential.create"
	ActionUpdateCredential Action = "credential.update"
	ActionDeleteCredential Action = "credential.delete"

	ActionCreateTag Action = "tag.create"
	ActionUpdateTag Action = "tag.update"
	ActionDeleteTag Action = "tag.delete"

	ActionDeleteTags Action = "tag.batch_delete"
	ActionAssignTags Action = "tag.assign"
	ActionRemoveTags Action = "tag.remove"

	ActionCreateInstance  Action = "instance.create"
	ActionUpdateInstance  Action = "instance.update"
	ActionDeleteInstance  Action = "instance.delete"
	ActionRestoreInstance Action = "instance.restore"
	ActionImportInstances Action = "instance.import"
	ActionDeleteInstances Action = "instance.batch_delete"
	ActionSyncInstance    Action = "instance.sync"
	ActionResumeSchedule  Action = "instance.resume_schedule"

	ActionTestConnection  Action = "connection.test"
	ActionTestConnections Action = "connection.batch_test"

	ActionRefreshTables Action = "tables.refresh"
	ActionCancelRefresh Action = "refresh.cancel"
)

// Actions lists every action in the order of the filter on the audit page.
var Actions = []Action{
	ActionLogin, ActionLogout, ActionChangePassword, ActionEndSession, ActionEndSessions,
	ActionCreateUser, ActionUpdateUser, ActionDeleteUser,
	ActionCreateToken, ActionDeleteToken,
	ActionCreateCredential, ActionUpdateCredential, ActionDeleteCredential,
	ActionCreateTag, ActionUpdateTag, ActionDeleteTag, ActionDeleteTags, ActionAssignTags, ActionRemoveTags,
	ActionCreateInstance, ActionUpdateInstance, ActionDeleteInstance, ActionRestoreInstance,
	ActionImportInstances, ActionDeleteInstances, ActionSyncInstance, ActionResumeSchedule,
	ActionTestConnection, ActionTestConnections,
	ActionRefreshTables, ActionCancelRefresh,
}

// CommandLine is the user name of entries written by the program's own commands. No user can have it.
const CommandLine = "(command line)"

// AuditEntry records one action: who did what to which object, when, from where, and with which result. It contains no
// secret and no request body.
type AuditEntry struct {
	ID          int64 `gorm:"primaryKey"`
	At          time.Time
	UserID      *int64 // nil: unknown
	Username    string // at that time; for a failed login the name tried, empty if it cannot be one; or CommandLine
	TokenName   string // of the API token used; empty: a session
	Action      Action
	TargetID    *int64 // nil: none, or more than one
	TargetName  string // at that time
	Method      string // empty: command line
	Path        string
	IP          string
	Status      int  // HTTP status; 0: command line
	MessageCode Code // of the error; empty: succeeded
	RequestID   string
}

// TableName returns the name of the table of audit entries.
func (AuditEntry) TableName() string { return "audit_log" }

// Results of an action.
const (
	AuditSuccess = "success"
	AuditFailure = "failure"
)

// Succeeded reports whether the action succeeded.
func (e *AuditEntry) Succeeded() bool { return e.MessageCode == "" }

// Result returns AuditSuccess or AuditFailure.
func (e *AuditEntry) Result() string {
	if e.Succeeded() {
		return AuditSuccess
	}
	return AuditFailure
}

// AuditQuery selects a page of the audit log. Zero values mean no filter.
type AuditQuery struct {
	Username         string // exact
	Action           Action
	Target           string // case-insensitive substring of the target's name, taken literally
	Result           string // AuditSuccess or AuditFailure
	StartDay, EndDay string // YYYY-MM-DD in the store's zone, inclusive
	Limit, Offset    int
}

// AuditPage is one page of the audit log and the number of all entries that match.
type AuditPage struct {
	Entries []AuditEntry
	Total   int64
}

// RecordAudit adds an entry to the audit log, even if ctx is already cancelled. It sets the entry's id and time.
func (s *Store) RecordAudit(ctx context.Context, e AuditEntry) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), auditTimeout, errAuditTimeout)
	defer cancel()
	e.ID, e.At = 0, s.Now()
	e.Username, e.TargetName, e.Path = cleaned(e.Username), cleaned(e.TargetName), cleaned(e.Path)
	row := struct {
		AuditEntry
		TargetFold string
	}{e, fold(e.TargetName)}
	return s.writer.WithContext(ctx).Table(e.TableName()).Create(&row).Error
}

// AuditLog returns a page of the audit log, newest entry first.
func (s *Store) AuditLog(ctx context.Context, q AuditQuery) (AuditPage, error) {
	var page AuditPage
	err := s.view(ctx, func(tx *gorm.DB) error {
		if err := s.filterAudit(tx, q).Count(&page.Total).Error; err != nil {
			return err
		}
		return s.filterAudit(tx, q).Order("id DESC").Limit(q.Limit).Offset(q.Offset).Find(&page.Entries).Error
	})
	return page, err
}

func (s *Store) filterAudit(tx *gorm.DB, q AuditQuery) *gorm.DB {
	tx = equal(equal(tx.Model(&AuditEntry{}), "username", q.Username), "action", string(q.Action))
	switch q.Result {
	case AuditSuccess:
		tx = tx.Where("message_code = ''")
	case AuditFailure:
		tx = tx.Where("message_code <> ''")
	}
	if from, ok := s.startOf(q.StartDay, 0); ok {
		tx = tx.Where("at >= ?", from)
	}
	if to, ok := s.startOf(q.EndDay, 1); ok {
		tx = tx.Where("at < ?", to)
	}
	return s.search(tx, q.Target, "target_fold")
}

// startOf returns when the calendar day (YYYY-MM-DD) plus days begins in the store's zone; false if day is not a date.
func (s *Store) startOf(day string, days int) (time.Time, bool) {
	date, err := time.ParseInLocation(time.DateOnly, day, s.Zone)
	return stamp(date.AddDate(0, 0, days)), err == nil
}

// auditBatch is how many entries PruneAudit deletes in one statement: other writers wait no longer than that.
const auditBatch = 5000

// PruneAudit deletes the entries from before a time, in batches, and returns how many.
func (s *Store) PruneAudit(ctx context.Context, before time.Time) (pruned int64, err error) {
	for {
		db, done := bounded(ctx, s.writer)
		deleted := db.Exec("DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE at < ? ORDER BY at LIMIT ?)",
			stamp(before), auditBatch)
		done()
		pruned += deleted.RowsAffected
		if deleted.Error != nil || deleted.RowsAffected < auditBatch {
			return pruned, deleted.Error
		}
	}
}
