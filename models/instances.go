package models

import (
	"context"
	"errors"
	"maps"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// TLSMode says how a connection to a target is encrypted; docs/operations.md has what it means for each driver.
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
	DatabaseName    string  // database to connect to first; for SQLite the file's path; may be empty
	CredentialID    *int64
	Description     string
	IsActive        bool
	TLSMode         TLSMode           `gorm:"column:tls_mode"`
	Options         map[string]string `gorm:"serializer:json"` // engine specific, documented in docs/operations.md
	DatabaseVersion string            // as the server says it; empty: never connected
	MainVersion     string            // "16", "10.11", "9.7"
	DetailedVersion string
	LastConnected   *time.Time // nil: never
	LastSyncTime    *time.Time // last successful capacity sync; nil: never

	DatabasesComplete *bool  // the last listing proved that no database is missing; nil: never listed
	DatabasesGrant    string // statement that would make it complete; empty when none is needed or known

	DeletedAt *time.Time // nil: not in the recycle bin. A plain column: reading the bin is a filter like any other
	CreatedAt time.Time
	UpdatedAt time.Time

	Credential *Credential
	Tags       []Tag `gorm:"many2many:instance_tags"`

	Schedule *ScheduleEdit `gorm:"-"` // to be written with it; nil: stays as it is. See Store.Schedule
}

// Names of Instance.Options. An empty value is the same as none.
const (
	OptionCACertificate = "ca_certificate"   // PEM of the authorities to trust with the verify modes; empty: the system's
	OptionSID           = "sid"              // Oracle: the SID to connect to instead of a service name
	OptionWallet        = "wallet_directory" // Oracle: directory of cwallet.sso, for TLS
)

// Status is active, inactive or deleted, as the contract has it.
func (i *Instance) Status() string {
	switch {
	case i.DeletedAt != nil:
		return "deleted"
	case i.IsActive:
		return "active"
	}
	return "inactive"
}

// NewCredential is a user name and password typed into the instance form; it is created in the same transaction.
type NewCredential struct{ Username, Password string }

func withDetails(tx *gorm.DB) *gorm.DB {
	byName := func(tags *gorm.DB) *gorm.DB { return tags.Order("tags.name") }
	return tx.Preload("Tags", byName).Preload("Credential")
}

// Instance finds an instance that is not deleted, with its credential and tags.
func (s *Store) Instance(ctx context.Context, id int64) (Instance, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	return takeInstance(db, "id = ? AND deleted_at IS NULL", id)
}

// InstanceHead is Instance without its credential and tags.
func (s *Store) InstanceHead(ctx context.Context, id int64) (instance Instance, err error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	err = db.Take(&instance, "id = ? AND deleted_at IS NULL", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Instance{}, NotFound("instance.not_found")
	}
	return instance, err
}

// InstanceByName finds an instance that is not deleted, with its credential and tags.
func (s *Store) InstanceByName(ctx context.Context, name string) (Instance, error) {
	if !storable(name) {
		return Instance{}, NotFound("instance.not_found")
	}
	db, done := bounded(ctx, s.reader)
	defer done()
	return takeInstance(db, "name = ? AND deleted_at IS NULL", name)
}

// InstanceIncludingDeleted finds an instance that may be in the recycle bin.
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

// lockInstance is the instance, which nobody else can change until the transaction ends.
func lockInstance(tx *gorm.DB, id int64) (Instance, error) {
	var instance Instance
	err := tx.Clauses(clause.Locking{Strength: "UPDATE"}).Take(&instance, "id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Instance{}, NotFound("instance.not_found")
	}
	return instance, err
}

// holdInstance keeps an instance, if there is one, from being changed or deleted until the transaction ends. Transactions
// that add what refers to it do so before they lock anything else, as those do that change it.
func holdInstance(tx *gorm.DB, id int64) error {
	return tx.Table("instances").Clauses(clause.Locking{Strength: "KEY SHARE"}).Where("id = ?", id).Pluck("id", &[]int64{}).Error
}

// holdFreeInstances does the same to those that a query names and that nobody changes now. They are a JSON parameter.
func holdFreeInstances(tx *gorm.DB, query string, values ...any) (string, error) {
	held := []int64{}
	err := tx.Table("instances").Clauses(clause.Locking{Strength: "KEY SHARE", Options: "SKIP LOCKED"}).
		Where("id IN ("+query+")", values...).Order("id").Pluck("id", &held).Error
	if err != nil {
		return "", err
	}
	return jsonParameter(held)
}

// CreateInstance adds an instance; tags that do not exist are created, and so is newCredential unless it is nil.
func (s *Store) CreateInstance(ctx context.Context, i Instance, tagNames []string, newCredential *NewCredential) (Instance, error) {
	if err := i.checkTexts(); err != nil {
		return Instance{}, err
	}
	if i.Options == nil {
		i.Options = map[string]string{}
	}
	var fresh Instance
	err := s.change(ctx, func(tx *gorm.DB) error {
		i, err := s.attachCredential(tx, i, newCredential)
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

// editableColumns are what UpdateInstance writes.
var editableColumns = []string{
	"name", "db_type", "host", "port", "database_name", "credential_id", "description", "is_active", "tls_mode", "options",
}

// UpdateInstance writes what a person can edit of the instance with i's id. Nil tagNames and a nil newCredential
// leave tags and credential as i has them.
func (s *Store) UpdateInstance(ctx context.Context, i Instance, tagNames *[]string, newCredential *NewCredential) (Instance, error) {
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
		i, err := s.attachCredential(tx, i, newCredential)
		if err != nil {
			return err
		}
		reconnects := newCredential != nil || i.reconnects(stored)
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

// reconnects reports whether the instance is reached in another way than the stored one, or again.
func (i *Instance) reconnects(stored Instance) bool {
	return i.IsActive && !stored.IsActive || i.DBType != stored.DBType || !sameValue(i.Host, stored.Host) || !sameValue(i.Port, stored.Port) ||
		i.DatabaseName != stored.DatabaseName || !sameValue(i.CredentialID, stored.CredentialID) || i.TLSMode != stored.TLSMode ||
		!maps.Equal(i.Options, stored.Options)
}

func sameValue[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

func (i *Instance) checkTexts() error {
	texts := []string{i.Name, i.DatabaseName, i.Description}
	if i.Host != nil {
		texts = append(texts, *i.Host)
	}
	return requireStorable(texts...)
}

func (s *Store) attachCredential(tx *gorm.DB, i Instance, fresh *NewCredential) (Instance, error) {
	i.Credential, i.Tags = nil, nil
	if fresh == nil {
		return i, nil
	}
	name, err := freeCredentialName(tx, i.Name)
	if err != nil {
		return i, err
	}
	credential, err := s.insertCredential(tx, Credential{Name: name, DBType: i.DBType, Username: fresh.Username}, fresh.Password)
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

// DeleteInstance moves an instance to the recycle bin and switches it off. One that is there already stays as it is.
func (s *Store) DeleteInstance(ctx context.Context, id int64) (Instance, error) {
	var deleted Instance
	err := s.change(ctx, func(tx *gorm.DB) error {
		stored, err := lockInstance(tx, id)
		if err != nil {
			return err
		}
		if stored.DeletedAt == nil {
			err := tx.Model(&stored).Updates(map[string]any{"deleted_at": s.Now(), "is_active": false}).Error
			if err != nil {
				return err
			}
		}
		deleted, err = takeInstance(tx, "id = ?", id)
		return err
	})
	return deleted, err
}

// RestoreInstance takes an instance out of the recycle bin, switched off; false: it was not in there.
func (s *Store) RestoreInstance(ctx context.Context, id int64) (Instance, bool, error) {
	var restored Instance
	var wasDeleted bool
	err := s.change(ctx, func(tx *gorm.DB) error {
		stored, err := lockInstance(tx, id)
		if err != nil {
			return err
		}
		if wasDeleted = stored.DeletedAt != nil; wasDeleted {
			if err := tx.Model(&stored).Update("deleted_at", nil).Error; err != nil {
				return instanceRefused(err)
			}
		}
		restored, err = takeInstance(tx, "id = ?", id)
		return err
	})
	return restored, wasDeleted && err == nil, err
}

// Version of a monitored server.
type Version struct {
	Full     string // as the server says it
	Main     string // "16", "10.11", "9.7", "3.50"
	Detailed string // "16.14", "10.11.19-MariaDB"
}

// RecordConnection keeps what a server said about itself when it was connected to, without what no store can hold.
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
