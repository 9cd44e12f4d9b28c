package models

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Credential is a user name and sealed password for monitored servers.
type Credential struct {
	ID             int64 `gorm:"primaryKey"`
	Name           string
	CredentialType string // always "database"
	DBType         Engine `gorm:"column:db_type"`
	Username       string
	Secret         []byte `json:"-"` // sealed by the keyset with the credential's id as associated data
	Hosts          Hosts  // that it may be sent to
	Description    string
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// credentialType is the only credential_type of the contract.
const credentialType = "database"

// Credentials returns all credentials, sorted by name.
func (s *Store) Credentials(ctx context.Context) ([]Credential, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	var credentials []Credential
	err := db.Order("name").Find(&credentials).Error
	return credentials, err
}

// Credential returns the credential with the id, or CodeNotFound.
func (s *Store) Credential(ctx context.Context, id int64) (Credential, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	return takeCredential(db, id)
}

func takeCredential(tx *gorm.DB, id int64) (Credential, error) {
	var credential Credential
	err := tx.Take(&credential, "id = ?", id).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Credential{}, NotFound("credential.not_found")
	}
	return credential, err
}

// lockCredential loads the credential and locks its row until the transaction ends. Instances that use it lock first.
func lockCredential(tx *gorm.DB, id int64) (Credential, error) {
	return takeCredential(tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}), id)
}

// Password decrypts the credential's password.
func (s *Store) Password(c Credential) (string, error) {
	plain, err := s.Keys.Open(c.Secret, credentialPurpose(c.ID))
	if err != nil {
		return "", &Error{Code: CodeInternal, Err: err}
	}
	return string(plain), nil
}

// credentialPurpose returns the associated data that binds a secret to its row: copied to another credential it cannot
// be decrypted.
func credentialPurpose(id int64) string { return fmt.Sprintf("credential:%d", id) }

// CreateCredential adds a credential with c's name, db_type, username, hosts and description. A name in use is
// CodeConflict.
func (s *Store) CreateCredential(ctx context.Context, c Credential, password string) (Credential, error) {
	var fresh Credential
	err := s.change(ctx, func(tx *gorm.DB) (err error) {
		fresh, err = s.insertCredential(tx, c, password)
		return err
	})
	return fresh, err
}

// insertCredential inserts the row first and updates its secret afterwards, because sealing needs the id.
func (s *Store) insertCredential(tx *gorm.DB, c Credential, password string) (Credential, error) {
	if err := requireStorable(c.Name, c.Username, c.Description); err != nil {
		return Credential{}, err
	}
	fresh := Credential{
		Name: c.Name, CredentialType: credentialType, DBType: c.DBType,
		Username: c.Username, Hosts: append(Hosts{}, c.Hosts...), Description: c.Description, Secret: []byte{},
	}
	if err := tx.Create(&fresh).Error; err != nil {
		return Credential{}, credentialNameTaken(err)
	}
	var err error
	if fresh.Secret, err = s.Keys.Seal([]byte(password), credentialPurpose(fresh.ID)); err != nil {
		return Credential{}, err
	}
	return fresh, tx.Model(&fresh).UpdateColumn("secret", fresh.Secret).Error
}

func credentialNameTaken(err error) error {
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return conflict("credential.name_taken", err)
	}
	return err
}

// editableCredentialColumns lists the columns UpdateCredential writes, besides the secret.
var editableCredentialColumns = []string{"name", "db_type", "username", "hosts", "description"}

// UpdateCredential writes name, db_type, username, hosts and description of the credential with c's id, and the
// password unless it is nil. Hosts beyond the stored ones need the password, so that nobody who does not know it can
// send it there; hosts without that of an instance that uses the credential are CodeConflict. A changed login resumes
// paused schedules of the instances that use it.
func (s *Store) UpdateCredential(ctx context.Context, c Credential, password *string) (Credential, error) {
	if err := requireStorable(c.Name, c.Username, c.Description); err != nil {
		return Credential{}, err
	}
	var credential Credential
	err := s.change(ctx, func(tx *gorm.DB) (err error) {
		if credential, err = lockCredential(tx, c.ID); err != nil {
			return err
		}
		if password == nil && !c.Hosts.within(credential.Hosts) {
			return Invalid("credential.hosts_password", "Name", credential.Name)
		}
		outside, err := usersOutside(tx, c.ID, c.Hosts)
		if err != nil {
			return err
		}
		if len(outside) > 0 {
			return refusedFor("credential.hosts_exclude", outside, nil)
		}
		credential, err = s.updateCredential(tx, credential, c, password)
		return err
	})
	return credential, err
}

// updateCredential writes the columns of change, and the password unless it is nil, to the stored credential.
func (s *Store) updateCredential(tx *gorm.DB, stored, change Credential, password *string) (Credential, error) {
	sameLogin := password == nil && change.Username == stored.Username
	columns := editableCredentialColumns
	if password != nil {
		var err error
		if change.Secret, err = s.Keys.Seal([]byte(*password), credentialPurpose(stored.ID)); err != nil {
			return stored, err
		}
		columns = append(slices.Clone(columns), "secret")
	}
	err := credentialNameTaken(tx.Model(&stored).Select(columns).Updates(&change).Error)
	if err != nil || sameLogin {
		return stored, err
	}
	return stored, resume(tx, "instance_id IN (SELECT id FROM instances WHERE credential_id = ?)", stored.ID).Error
}

// usersOutside returns the instances outside the recycle bin that use a credential at other hosts than these.
func usersOutside(tx *gorm.DB, id int64, hosts Hosts) ([]Instance, error) {
	var users []Instance
	err := tx.Select("id", "name", "host", "is_active", "deleted_at").Order("name, id").
		Find(&users, "credential_id = ? AND deleted_at IS NULL AND host IS NOT NULL", id).Error
	return slices.DeleteFunc(users, func(i Instance) bool { return hosts.Allow(*i.Host) }), err
}

// rebindCredential stores the password, typed again, of an instance's credential, which may then be sent to the
// instance's host.
func (s *Store) rebindCredential(tx *gorm.DB, i Instance, former *string, password string) error {
	credential, err := lockCredential(tx, *i.CredentialID)
	if err != nil {
		return err
	}
	change := credential
	if change.Hosts, err = movedHosts(tx, credential, i, former); err != nil {
		return err
	}
	_, err = s.updateCredential(tx, credential, change, &password)
	return err
}

// movedHosts returns the credential's hosts with that of an instance that uses it, and without its former one unless
// another instance uses the credential there.
func movedHosts(tx *gorm.DB, credential Credential, i Instance, former *string) (Hosts, error) {
	if credential.Hosts.Allow(*i.Host) {
		return credential.Hosts, nil
	}
	moved := credential.Hosts.without(former).with(*i.Host)
	outside, err := usersOutside(tx, credential.ID, moved)
	if slices.ContainsFunc(outside, func(other Instance) bool { return other.ID != i.ID }) {
		moved = credential.Hosts.with(*i.Host)
	}
	return moved, err
}

// RequireHost returns an error of the code unless the credential may be sent to the host.
func (c *Credential) RequireHost(host string, code Code) error {
	if c.Hosts.Allow(host) {
		return nil
	}
	return &Error{Code: code, Key: "credential.host_refused", Args: Args("Name", c.Name, "Host", host)}
}

// DeleteCredential deletes a credential. One that an instance uses, even in the recycle bin, is CodeConflict.
func (s *Store) DeleteCredential(ctx context.Context, id int64) error {
	db, done := bounded(ctx, s.writer)
	defer done()
	gone := db.Delete(&Credential{}, "id = ?", id)
	switch {
	case errors.Is(gone.Error, gorm.ErrForeignKeyViolated):
		return s.inUse(ctx, id, gone.Error)
	case gone.Error != nil:
		return gone.Error
	case gone.RowsAffected == 0:
		return NotFound("credential.not_found")
	}
	return nil
}

// freeCredentialName returns name, or name with the lowest number from 2 that makes it unique.
func freeCredentialName(tx *gorm.DB, name string) (string, error) {
	for n, free := 2, name; ; n++ {
		var taken int64
		if err := tx.Model(&Credential{}).Where("name = ?", free).Count(&taken).Error; err != nil || taken == 0 {
			return free, err
		}
		free = fmt.Sprintf("%s-%d", name, n)
	}
}

// CredentialQuery selects and orders a page of credentials. Zero values mean no filter.
type CredentialQuery struct {
	Search        string // case-insensitive substring of name, user name or description, taken literally
	DBType        Engine
	Sort          string // id|name|db_type|username|instances|updated
	Desc          bool
	Limit, Offset int // rows
}

// CredentialItem is one row of the credential list, without its secret.
type CredentialItem struct {
	Credential
	Instances int64 // instances that use it, those in the recycle bin included
	Binned    int64 // those of Instances in the recycle bin
}

// CredentialPage is one page of credentials and the number of all that match.
type CredentialPage struct {
	Items []CredentialItem
	Total int64
}

const credentialItemSQL = `c.id, c.name, c.credential_type, c.db_type, c.username, c.hosts, c.description,
	c.created_at, c.updated_at,
	(SELECT count(*) FROM instances i WHERE i.credential_id = c.id) AS instances,
	(SELECT count(*) FROM instances i WHERE i.credential_id = c.id AND i.deleted_at IS NOT NULL) AS binned`

// credentialOrders maps the sorts of the list to SQL; each may use a column alias of credentialItemSQL.
var credentialOrders = map[string]string{
	"id": "c.id", "name": "c.name", "db_type": "c.db_type", "username": "c.username",
	"instances": "instances", "updated": "c.updated_at",
}

// FindCredentials returns a page of the credentials that q selects. An unknown sort means by id.
func (s *Store) FindCredentials(ctx context.Context, q CredentialQuery) (CredentialPage, error) {
	var page CredentialPage
	err := s.view(ctx, func(tx *gorm.DB) error {
		ids, err := credentialsHolding(tx, q.Search)
		if err != nil {
			return err
		}
		if err := s.filterCredentials(tx, q, ids).Count(&page.Total).Error; err != nil {
			return err
		}
		return s.filterCredentials(tx, q, ids).Select(credentialItemSQL).
			Order(listOrder(credentialOrders, q.Sort, q.Desc, "c.id")).
			Limit(q.Limit).Offset(q.Offset).Scan(&page.Items).Error
	})
	return page, err
}

func (s *Store) filterCredentials(tx *gorm.DB, q CredentialQuery, ids string) *gorm.DB {
	tx = equal(tx.Table("credentials AS c"), "c.db_type", string(q.DBType))
	if q.Search != "" {
		tx = tx.Where("c.id IN "+s.dialect.ids(), ids)
	}
	return tx
}

// credentialsHolding returns, as a parameter for dialect.ids, the ids of the credentials that contain the term. They
// are compared in Go: the store has no folded columns for them, and SQLite folds only ASCII.
func credentialsHolding(tx *gorm.DB, term string) (string, error) {
	if term == "" {
		return "", nil
	}
	var all []Credential
	if err := tx.Select("id", "name", "username", "description").Find(&all).Error; err != nil {
		return "", err
	}
	ids, term := []int64{}, fold(term)
	for _, c := range all {
		for _, text := range []string{c.Name, c.Username, c.Description} {
			if strings.Contains(fold(text), term) {
				ids = append(ids, c.ID)
				break
			}
		}
	}
	return jsonParameter(ids)
}

// maxNamedUsers limits how many instances a refused change of a credential names.
const maxNamedUsers = 20

// CredentialUse is an instance that uses a credential.
type CredentialUse struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"` // active|inactive|deleted
}

// inUse returns the CodeConflict for deleting a credential in use. It names the instances, those outside the recycle
// bin first.
func (s *Store) inUse(ctx context.Context, id int64, cause error) error {
	db, done := bounded(ctx, s.reader)
	defer done()
	var instances []Instance
	err := db.Select("id", "name", "is_active", "deleted_at").Order("deleted_at IS NOT NULL, name, id").
		Find(&instances, "credential_id = ?", id).Error
	if err != nil {
		return err
	}
	return refusedFor("credential.in_use", instances, cause)
}

// refusedFor returns a CodeConflict that names the first maxNamedUsers of the instances.
func refusedFor(key string, instances []Instance, cause error) *Error {
	uses := []CredentialUse{}
	var live, binned []string
	for _, i := range instances[:min(len(instances), maxNamedUsers)] {
		uses = append(uses, CredentialUse{i.ID, i.Name, i.Status()})
		if i.DeletedAt == nil {
			live = append(live, i.Name)
		} else {
			binned = append(binned, i.Name)
		}
	}
	refused := conflict(key, cause)
	refused.Args = Args(
		"Names", strings.Join(live, ", "), "Binned", strings.Join(binned, ", "), "More", len(instances) > len(uses),
	)
	return refused.With("instances", uses).With("instance_count", len(instances))
}
