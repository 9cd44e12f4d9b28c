package models

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
)

// credentialType is the only one of the contract.
const credentialType = "database"

// Credentials lists all credentials by name.
func (s *Store) Credentials(ctx context.Context) ([]Credential, error) {
	db, done := bounded(ctx, s.reader)
	defer done()
	var credentials []Credential
	err := db.Order("name").Find(&credentials).Error
	return credentials, err
}

// Credential finds a credential by id.
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

// Password opens the credential's sealed password.
func (s *Store) Password(c Credential) (string, error) {
	plain, err := s.Keys.Open(c.Secret, credentialPurpose(c.ID))
	if err != nil {
		return "", &Error{Code: CodeInternal, Err: err}
	}
	return string(plain), nil
}

// credentialPurpose binds a secret to its row: copied to another credential it cannot be opened.
func credentialPurpose(id int64) string { return fmt.Sprintf("credential:%d", id) }

// CreateCredential adds a credential with name, db_type, username and description of c.
func (s *Store) CreateCredential(ctx context.Context, c Credential, password string) (Credential, error) {
	var fresh Credential
	err := s.change(ctx, func(tx *gorm.DB) (err error) {
		fresh, err = s.insertCredential(tx, c, password)
		return err
	})
	return fresh, err
}

// insertCredential writes twice, because sealing needs the id.
func (s *Store) insertCredential(tx *gorm.DB, c Credential, password string) (Credential, error) {
	if err := requireStorable(c.Name, c.Username, c.Description); err != nil {
		return Credential{}, err
	}
	fresh := Credential{
		Name: c.Name, CredentialType: credentialType, DBType: c.DBType,
		Username: c.Username, Description: c.Description, Secret: []byte{},
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

// UpdateCredential writes name, db_type, username and description of the credential with c's id, and the password
// unless it is nil.
func (s *Store) UpdateCredential(ctx context.Context, c Credential, password *string) (Credential, error) {
	if err := requireStorable(c.Name, c.Username, c.Description); err != nil {
		return Credential{}, err
	}
	change := map[string]any{"name": c.Name, "db_type": c.DBType, "username": c.Username, "description": c.Description}
	if password != nil {
		secret, err := s.Keys.Seal([]byte(*password), credentialPurpose(c.ID))
		if err != nil {
			return Credential{}, err
		}
		change["secret"] = secret
	}
	var credential Credential
	err := s.change(ctx, func(tx *gorm.DB) (err error) {
		if credential, err = takeCredential(tx, c.ID); err != nil {
			return err
		}
		sameLogin := password == nil && c.Username == credential.Username
		if err := credentialNameTaken(tx.Model(&credential).Updates(change).Error); err != nil || sameLogin {
			return err
		}
		return resume(tx, "instance_id IN (SELECT id FROM instances WHERE credential_id = ?)", c.ID).Error
	})
	return credential, err
}

// DeleteCredential removes a credential that no instance uses, deleted instances included.
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

// freeCredentialName is name, or name with the first number behind it that is not taken.
func freeCredentialName(tx *gorm.DB, name string) (string, error) {
	for n, free := 2, name; ; n++ {
		var taken int64
		if err := tx.Model(&Credential{}).Where("name = ?", free).Count(&taken).Error; err != nil || taken == 0 {
			return free, err
		}
		free = fmt.Sprintf("%s-%d", name, n)
	}
}
