package models

import (
	"context"
	"strings"

	"gorm.io/gorm"
)

// UserQuery selects and orders a page of users. Zero values mean no filter.
type UserQuery struct {
	Search        string // case-insensitive substring of the name, taken literally
	Role          Role
	Status        string // active|inactive
	Sort          string // id|name|role|status|last_login|created
	Desc          bool
	Limit, Offset int // rows
}

// UserPage is one page of users and the number of all that match.
type UserPage struct {
	Items []User
	Total int64
}

var userOrders = map[string]string{
	"id": "id", "name": "lower(username)", "last_login": "last_login_at", "created": "created_at",
	"role":   "CASE role WHEN 'admin' THEN 0 WHEN 'user' THEN 1 ELSE 2 END",
	"status": "CASE WHEN is_active THEN 0 ELSE 1 END",
}

// FindUsers is a page of the users that q selects. An unknown sort is by id.
func (s *Store) FindUsers(ctx context.Context, q UserQuery) (UserPage, error) {
	var page UserPage
	err := s.view(ctx, func(tx *gorm.DB) error {
		if err := s.filterUsers(tx, q).Count(&page.Total).Error; err != nil {
			return err
		}
		return s.filterUsers(tx, q).Order(listOrder(userOrders, q.Sort, q.Desc, "id")).
			Limit(q.Limit).Offset(q.Offset).Find(&page.Items).Error
	})
	return page, err
}

func (s *Store) filterUsers(tx *gorm.DB, q UserQuery) *gorm.DB {
	tx = equal(tx.Model(&User{}), "role", string(q.Role))
	if q.Status != "" {
		tx = tx.Where("is_active = ?", q.Status == "active")
	}
	return s.search(tx, q.Search, "lower(username)")
}

// listOrder sorts by a column of orders, and by the row's id where that is the same.
func listOrder(orders map[string]string, sort string, desc bool, id string) string {
	order, known := orders[sort]
	if !known {
		order = id
	}
	return order + direction(desc) + ", " + id + direction(desc)
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
	Instances int64 // that use it, those in the recycle bin included
	Binned    int64 // of these in the recycle bin
}

// CredentialPage is one page of credentials and the number of all that match.
type CredentialPage struct {
	Items []CredentialItem
	Total int64
}

const credentialItemSQL = `c.id, c.name, c.credential_type, c.db_type, c.username, c.description, c.created_at, c.updated_at,
	(SELECT count(*) FROM instances i WHERE i.credential_id = c.id) AS instances,
	(SELECT count(*) FROM instances i WHERE i.credential_id = c.id AND i.deleted_at IS NOT NULL) AS binned`

// credentialOrders are the sorts of the list; each may be a column alias of credentialItemSQL.
var credentialOrders = map[string]string{
	"id": "c.id", "name": "c.name", "db_type": "c.db_type", "username": "c.username", "instances": "instances", "updated": "c.updated_at",
}

// FindCredentials is a page of the credentials that q selects. An unknown sort is by id.
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

// credentialsHolding are the ids of the credentials that hold the term, for dialect.ids. Go compares: the store has no
// folded columns of them, and its own idea of case is ASCII's.
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
		if strings.Contains(fold(c.Name), term) || strings.Contains(fold(c.Username), term) || strings.Contains(fold(c.Description), term) {
			ids = append(ids, c.ID)
		}
	}
	return jsonParameter(ids)
}

// maxNamedUsers is how many instances the refusal to delete a credential names.
const maxNamedUsers = 20

// CredentialUse is an instance that uses a credential.
type CredentialUse struct {
	ID     int64  `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"` // active|inactive|deleted
}

// inUse refuses to delete a credential and names the instances that use it: first those that are not in the recycle bin.
func (s *Store) inUse(ctx context.Context, id int64, cause error) error {
	db, done := bounded(ctx, s.reader)
	defer done()
	var instances []Instance
	err := db.Select("id", "name", "is_active", "deleted_at").Order("deleted_at IS NOT NULL, name, id").
		Find(&instances, "credential_id = ?", id).Error
	if err != nil {
		return err
	}
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
	refused := conflict("credential.in_use", cause)
	refused.Args = Args("Names", strings.Join(live, ", "), "Binned", strings.Join(binned, ", "), "More", len(instances) > len(uses))
	return refused.With("instances", uses).With("instance_count", len(instances))
}
