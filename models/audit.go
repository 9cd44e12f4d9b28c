package models

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// auditTimeout is how long the log may take to note one action. A SQLite store takes nothing else while it keeps a large
// snapshot: 100,000 tables for some seconds, a million for half a minute.
const auditTimeout = time.Minute

var errAuditTimeout = fmt.Errorf("the audit log did not take an entry within %s", auditTimeout)

// Action is what somebody did, as the audit log calls it: what it was done to, a dot, and what was done.
type Action string

// Every write of the product, of both doors.
const (
	ActionLogin          Action = "auth.login"
	ActionLogout         Action = "auth.logout"
	ActionChangePassword Action = "auth.change_password"

	ActionCreateUser Action = "user.create"
	ActionUpdateUser Action = "user.update"

	ActionCreateToken Action = "token.create"
	ActionDeleteToken Action = "token.delete"

	ActionCreateCredential Action = "credential.create"
	ActionUpdateCredential Action = "credential.update"
	ActionDeleteCredential Action = "credential.delete"

	ActionCreateTag Action = "tag.create"
	ActionUpdateTag Action = "tag.update"
	ActionDeleteTag Action = "tag.delete"

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

// Actions lists every action in the order in which people are offered them.
var Actions = []Action{
	ActionLogin, ActionLogout, ActionChangePassword, ActionCreateUser, ActionUpdateUser, ActionCreateToken, ActionDeleteToken,
	ActionCreateCredential, ActionUpdateCredential, ActionDeleteCredential, ActionCreateTag, ActionUpdateTag, ActionDeleteTag,
	ActionCreateInstance, ActionUpdateInstance, ActionDeleteInstance, ActionRestoreInstance, ActionImportInstances,
	ActionDeleteInstances, ActionSyncInstance, ActionResumeSchedule, ActionTestConnection, ActionTestConnections, ActionRefreshTables, ActionCancelRefresh,
}

// CommandLine stands for whoever runs the program's own commands. No user can have the name.
const CommandLine = "(command line)"

// AuditEntry is one action of somebody: who, what, when, from where, and how it ended. It holds no secret and no body.
type AuditEntry struct {
	ID          int64 `gorm:"primaryKey"`
	At          time.Time
	UserID      *int64 // nil: nobody who is known
	Username    string // as it was then; of a failed login the name that was tried, empty if that can be none; or CommandLine
	TokenName   string // of the token that acted for the user; empty: a session
	Action      Action
	TargetID    *int64 // nil: none, or more than one
	TargetName  string // as it was then
	Method      string // empty: the command line
	Path        string
	IP          string
	Status      int  // of the answer; 0: the command line
	MessageCode Code // of the error; empty: it succeeded
	RequestID   string
}

// TableName is the table of AuditEntry.
func (AuditEntry) TableName() string { return "audit_log" }

// How an action ended.
const (
	AuditSuccess = "success"
	AuditFailure = "failure"
)

// Succeeded reports whether what was tried was done.
func (e *AuditEntry) Succeeded() bool { return e.MessageCode == "" }

// Result is AuditSuccess or AuditFailure.
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

// RecordAudit notes an action, also when the request that did it is over. The time is the store's.
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

// AuditLog is a page of the audit log, newest first.
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

// startOf is when a calendar day of the store's zone begins, days later; false: it is no day.
func (s *Store) startOf(day string, days int) (time.Time, bool) {
	date, err := time.ParseInLocation(time.DateOnly, day, s.Zone)
	return stamp(date.AddDate(0, 0, days)), err == nil
}
