package models

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// TLSMode is how connections to a target are encrypted; docs/operations.md says what each mode means to each driver.
type TLSMode string

// The contract's tls_mode values.
const (
	TLSDisable    TLSMode = "disable"
	TLSPrefer     TLSMode = "prefer"
	TLSRequire    TLSMode = "require"
	TLSVerifyCA   TLSMode = "verify-ca"
	TLSVerifyFull TLSMode = "verify-full"
)

// Instance is one monitored server, or one SQLite file.
type Instance struct {
	ID              int64 `gorm:"primaryKey"`
	Name            string
	DBType          Engine  `gorm:"column:db_type"`
	Host            *string // nil for SQLite
	Port            *int    // nil for SQLite
	DatabaseName    string  // database to connect to first; SQLite: path of the file; may be empty
	CredentialID    *int64
	Description     string
	IsActive        bool
	TLSMode         TLSMode           `gorm:"column:tls_mode"`
	Options         map[string]string `gorm:"serializer:json"` // see OptionCACertificate and the following
	DatabaseVersion string            // as the server reports it; empty: never connected
	MainVersion     string            // "16", "10.11", "9.7"
	DetailedVersion string
	LastConnected   *time.Time // nil: never
	LastSyncTime    *time.Time // last successful capacity sync; nil: never

	DatabasesComplete *bool  // the last listing proved that no database is missing; nil: never listed
	DatabasesGrant    string // statement that would make the listing complete; empty: none needed or known

	DeletedAt *time.Time // nil: not in the recycle bin. No gorm.DeletedAt: queries say whether they want the bin
	CreatedAt time.Time
	UpdatedAt time.Time

	Credential *Credential
	Tags       []Tag `gorm:"many2many:instance_tags"`

	Schedule *ScheduleEdit `gorm:"-"` // written with the instance, never read: see Store.Schedule; nil: unchanged
}

// Names of Instance.Options. An empty value is the same as none.
const (
	OptionCACertificate = "ca_certificate"   // PEM of the authorities to trust with the verify modes; empty: the system's
	OptionSID           = "sid"              // Oracle: the SID to connect to instead of a service name
	OptionWallet        = "wallet_directory" // Oracle: directory of cwallet.sso, for TLS
)

// Status returns active, inactive or deleted, the values of the contract.
func (i *Instance) Status() string {
	switch {
	case i.DeletedAt != nil:
		return "deleted"
	case i.IsActive:
		return "active"
	}
	return "inactive"
}

// TypedLogin is a login typed in with an instance: a credential to create for its host, or the password of its
// credential once more, which may then be sent to its host.
type TypedLogin struct {
	Username, Password string
	Again              bool // the password of the instance's credential; there is no user name
}

func withDetails(tx *gorm.DB) *gorm.DB {
	byName := func(tags *gorm.DB) *gorm.DB { return tags.Order("tags.name") }
	return tx.Preload("Tags", byName).Preload("Credential")
}

// Instance returns an instance outside the recycle bin, with its credential and tags, or CodeNotFound.
func (s *Store) Instance(ctx context.Context, id int64) (Instance, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	return takeInstance(db, "id = ? AND deleted_at IS NULL", id)
}

// TargetInstance returns an instance outside the recycle bin with its credential and without its tags, or CodeNotFound.
func (s *Store) TargetInstance(ctx context.Context, id int64) (instance Instance, err error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	err = db.Joins("Credential").Take(&instance, "instances.id = ? AND instances.deleted_at IS NULL", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Instance{}, NotFound("instance.not_found")
	}
	return instance, err
}

// Configuration returns a fingerprint of what the instance, loaded with its credential, is collected with. It changes
// with every edit of either.
func (i *Instance) Configuration() string {
	edited := strconv.FormatInt(i.UpdatedAt.UnixMicro(), 36)
	if c := i.Credential; c != nil {
		edited += "-" + strconv.FormatInt(c.ID, 36) + "-" + strconv.FormatInt(c.UpdatedAt.UnixMicro(), 36)
	}
	return edited
}

// InstanceHead returns an instance outside the recycle bin without its credential and tags, or CodeNotFound.
func (s *Store) InstanceHead(ctx context.Context, id int64) (instance Instance, err error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	err = db.Take(&instance, "id = ? AND deleted_at IS NULL", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Instance{}, NotFound("instance.not_found")
	}
	return instance, err
}

// InstanceByName returns the instance outside the recycle bin that has the name, with its credential and tags, or
// CodeNotFound.
func (s *Store) InstanceByName(ctx context.Context, name string) (Instance, error) {
	if !storable(name) {
		return Instance{}, NotFound("instance.not_found")
	}
	db, done := bounded(ctx, s.reader)
	defer done()
	return takeInstance(db, "name = ? AND deleted_at IS NULL", name)
}

// InstanceIncludingDeleted returns an instance, in the recycle bin or not, with its credential and tags, or
// CodeNotFound.
func (s *Store) InstanceIncludingDeleted(ctx context.Context, id int64) (Instance, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	return takeInstance(db, "id = ?", id)
}

func takeInstance(tx *gorm.DB, condition string, value any) (Instance, error) {
	var instance Instance
	err := withDetails(tx).Take(&instance, condition, value).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Instance{}, NotFound("instance.not_found")
	}
	return instance, err
}

// lockInstance loads the instance and locks its row until the transaction ends.
func lockInstance(tx *gorm.DB, id int64) (Instance, error) {
	var instance Instance
	err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&instance, "id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Instance{}, NotFound("instance.not_found")
	}
	return instance, err
}

// holdInstance prevents changes and deletion of an instance, if it exists, until the transaction ends. Transactions
// that insert rows referring to the instance take this lock before any other, as those that change the instance do.
func holdInstance(tx *gorm.DB, id int64) error {
	return tx.Table("instances").Clauses(clause.Locking{Strength: "KEY SHARE"}).
		Where("id = ?", id).Pluck("id", &[]int64{}).Error
}

// holdConfiguration locks like holdInstance an instance outside the recycle bin. Another configuration than the given
// one, unless that is empty, is collect.instance_changed.
func holdConfiguration(tx *gorm.DB, id int64, configuration string) error {
	var instance Instance
	held := clause.Locking{Strength: "KEY SHARE", Table: clause.Table{Name: "instances"}}
	err := tx.Clauses(held).Joins("Credential").
		Take(&instance, "instances.id = ? AND instances.deleted_at IS NULL", id).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return NotFound("instance.not_found")
	case err != nil:
		return err
	case configuration != "" && configuration != instance.Configuration():
		return InstanceChanged(instance.Name, nil)
	}
	return nil
}

// InstanceChanged returns the error of a collection whose instance was edited or, with the cause that says so, deleted
// since it started.
func InstanceChanged(name string, cause error) *Error {
	return &Error{Code: CodeCollection, Key: "collect.instance_changed", Args: Args("Name", name), Err: cause}
}

// holdFreeInstances locks like holdInstance the instances whose ids the query returns, skips those that are locked,
// and returns the ids it locked as a JSON parameter.
func holdFreeInstances(tx *gorm.DB, query string, values ...any) (string, error) {
	held := []int64{}
	err := tx.Table("instances").Clauses(clause.Locking{Strength: "KEY SHARE", Options: "SKIP LOCKED"}).
		Where("id IN ("+query+")", values...).Order("id").Pluck("id", &held).Error
	if err != nil {
		return "", err
	}
	return jsonParameter(held)
}

// CreateInstance creates an instance with its tags, creating those that do not exist, and stores the typed login unless
// it is nil.
func (s *Store) CreateInstance(
	ctx context.Context, i Instance, tagNames []string, typed *TypedLogin,
) (Instance, error) {
	if err := i.checkTexts(); err != nil {
		return Instance{}, err
	}
	if i.Options == nil {
		i.Options = map[string]string{}
	}
	var fresh Instance
	err := s.change(ctx, func(tx *gorm.DB) error {
		i, err := s.attachCredential(tx, i, nil, typed)
		if err != nil {
			return err
		}
		i.ID, i.DeletedAt = 0, nil
		i.LastConnected, i.LastSyncTime = stampPointer(i.LastConnected), stampPointer(i.LastSyncTime)
		if err := tx.Omit("Tags", "Credential").Create(&i).Error; err != nil {
			return instanceRefused(err)
		}
		if err := foldInstance(tx, i); err != nil {
			return err
		}
		if err := setTags(tx, i.ID, tagNames); err != nil {
			return err
		}
		if err := s.saveSchedule(tx, i.ID, i.Schedule); err != nil {
			return err
		}
		fresh, err = takeInstance(tx, "id = ?", i.ID)
		return err
	})
	return fresh, err
}

// editableColumns lists the columns UpdateInstance writes.
var editableColumns = []string{
	"name", "db_type", "host", "port", "database_name", "credential_id", "description", "is_active", "tls_mode", "options",
}

// UpdateInstance writes the editable columns of the instance with i's id, and the typed login unless it is nil. Nil
// tagNames keep the tags. Changes to how the server is reached resume a paused schedule.
func (s *Store) UpdateInstance(
	ctx context.Context, i Instance, tagNames *[]string, typed *TypedLogin,
) (Instance, error) {
	if err := i.checkTexts(); err != nil {
		return Instance{}, err
	}
	if i.Options == nil {
		i.Options = map[string]string{}
	}
	var updated Instance
	err := s.change(ctx, func(tx *gorm.DB) error {
		stored, err := lockInstance(tx, i.ID)
		if err != nil {
			return err
		}
		if stored.DeletedAt != nil {
			return NotFound("instance.not_found")
		}
		i, err := s.attachCredential(tx, i, stored.Host, typed)
		if err != nil {
			return err
		}
		reconnects := typed != nil || i.reconnects(stored)
		if err := tx.Model(&stored).Select(editableColumns).Updates(&i).Error; err != nil {
			return instanceRefused(err)
		}
		if err := foldInstance(tx, i); err != nil {
			return err
		}
		if tagNames != nil {
			if err := setTags(tx, i.ID, *tagNames); err != nil {
				return err
			}
		}
		if reconnects {
			if err := resume(tx, "instance_id = ?", i.ID).Error; err != nil {
				return err
			}
		}
		if err := s.saveSchedule(tx, i.ID, i.Schedule); err != nil {
			return err
		}
		updated, err = takeInstance(tx, "id = ?", i.ID)
		return err
	})
	return updated, err
}

// reconnects reports whether the instance is reached differently than the stored one, or becomes active.
func (i *Instance) reconnects(stored Instance) bool {
	return i.IsActive && !stored.IsActive ||
		i.DBType != stored.DBType ||
		!sameValue(i.Host, stored.Host) || !sameValue(i.Port, stored.Port) ||
		i.DatabaseName != stored.DatabaseName ||
		!sameValue(i.CredentialID, stored.CredentialID) ||
		i.TLSMode != stored.TLSMode || !maps.Equal(i.Options, stored.Options)
}

func sameValue[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

func (i *Instance) checkTexts() error {
	texts := []string{i.Name, i.DatabaseName, i.Description}
	if i.Host != nil {
		texts = append(texts, *i.Host)
	}
	return requireStorable(texts...)
}

// attachCredential stores the typed login of an instance, which was at the former host, and returns the instance with
// its credential.
func (s *Store) attachCredential(tx *gorm.DB, i Instance, former *string, typed *TypedLogin) (Instance, error) {
	i.Credential, i.Tags = nil, nil
	switch {
	case typed == nil:
		return i, nil
	case typed.Again:
		return i, s.rebindCredential(tx, i, former, typed.Password)
	}
	name, err := freeCredentialName(tx, i.Name)
	if err != nil {
		return i, err
	}
	credential := Credential{Name: name, DBType: i.DBType, Username: typed.Username}
	if i.Host != nil {
		credential.Hosts = Hosts{canonicalHost(*i.Host)}
	}
	credential, err = s.insertCredential(tx, credential, typed.Password)
	i.CredentialID = &credential.ID
	return i, err
}

func instanceRefused(err error) error {
	switch {
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return conflict("instance.name_taken", err)
	case errors.Is(err, gorm.ErrForeignKeyViolated):
		return Invalid("instance.credential_missing")
	}
	return err
}

func foldInstance(tx *gorm.DB, i Instance) error {
	host := ""
	if i.Host != nil {
		host = *i.Host
	}
	return tx.Table("instances").Where("id = ?", i.ID).Updates(map[string]any{
		"name_fold": fold(i.Name), "host_fold": fold(host), "description_fold": fold(i.Description),
	}).Error
}

// DeleteInstance moves an instance to the recycle bin and deactivates it. It does nothing if the instance is already
// there.
func (s *Store) DeleteInstance(ctx context.Context, id int64) (Instance, error) {
	var deleted Instance
	err := s.change(ctx, func(tx *gorm.DB) error {
		stored, err := lockInstance(tx, id)
		if err != nil {
			return err
		}
		if stored.DeletedAt == nil {
			if err := tx.Model(&stored).Updates(s.intoBin()).Error; err != nil {
				return err
			}
		}
		deleted, err = takeInstance(tx, "id = ?", id)
		return err
	})
	return deleted, err
}

// intoBin returns the columns to update of an instance that moves to the recycle bin.
func (s *Store) intoBin() map[string]any {
	return map[string]any{
		"deleted_at": s.Now(), "is_active": false, "active_before_deletion": gorm.Expr("is_active"),
	}
}

// RestoreInstance takes an instance out of the recycle bin, active if it was before it was deleted. It returns false if
// the instance was not in the recycle bin.
func (s *Store) RestoreInstance(ctx context.Context, id int64) (Instance, bool, error) {
	var restored Instance
	var wasDeleted bool
	err := s.change(ctx, func(tx *gorm.DB) error {
		stored, err := lockInstance(tx, id)
		if err != nil {
			return err
		}
		if wasDeleted = stored.DeletedAt != nil; wasDeleted {
			restored := map[string]any{"deleted_at": nil, "is_active": gorm.Expr("active_before_deletion")}
			if err := tx.Model(&stored).Updates(restored).Error; err != nil {
				return instanceRefused(err)
			}
		}
		restored, err = takeInstance(tx, "id = ?", id)
		return err
	})
	return restored, wasDeleted && err == nil, err
}

// Version is the version of a monitored server.
type Version struct {
	Full     string // as the server reports it
	Main     string // "16", "10.11", "9.7", "3.50"
	Detailed string // "16.14", "10.11.19-MariaDB"
}

// RecordConnection stores the server's version and when it was connected to. Characters that the store cannot hold are
// replaced.
func (s *Store) RecordConnection(ctx context.Context, id int64, v Version, at time.Time) error {
	db, done := bounded(ctx, s.writer)
	defer done()
	found := db.Table("instances").Where("id = ?", id).Updates(map[string]any{
		"database_version": cleaned(v.Full), "main_version": cleaned(v.Main), "detailed_version": cleaned(v.Detailed),
		"last_connected": stamp(at),
	})
	if found.Error == nil && found.RowsAffected == 0 {
		return NotFound("instance.not_found")
	}
	return found.Error
}
