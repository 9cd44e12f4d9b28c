package views

import (
	"fmt"

	"whalefall/models"
)

// UserList is the page with all users.
type UserList struct {
	Listing
	Items []models.User
	Query models.UserQuery
}

// UserForm is what a person typed about a user, or is about to change. A password never comes back.
type UserForm struct {
	ID       int64 // 0: a new one
	Username string
	Role     models.Role
	IsActive bool
	Own      bool     // of the person who looks at it
	Problem  *Failure // why it was refused; nil: it was not
}

// Path is the address of the form.
func (f UserForm) Path() string { return formPath("/users", f.ID) }

// Action is where the form is sent.
func (f UserForm) Action() string { return formAction("/users", f.ID) }

// CredentialList is the page with all credentials.
type CredentialList struct {
	Listing
	Items []models.CredentialItem
	Query models.CredentialQuery
}

// CredentialForm is what a person typed about a credential, or is about to change. A password never comes back.
type CredentialForm struct {
	ID          int64 // 0: a new one
	Name        string
	DBType      string // empty: any
	Username    string
	Description string
	Problem     *Failure // why it was refused; nil: it was not
}

// Path is the address of the form.
func (f CredentialForm) Path() string { return formPath("/credentials", f.ID) }

// Action is where the form is sent.
func (f CredentialForm) Action() string { return formAction("/credentials", f.ID) }

// formPath is the address of the form for something in a list; an id of 0 is a new one.
func formPath(list string, id int64) string {
	if id == 0 {
		return list + "/new"
	}
	return fmt.Sprintf("%s/%d/edit", list, id)
}

// formAction is where such a form is sent.
func formAction(list string, id int64) string {
	if id == 0 {
		return list
	}
	return fmt.Sprintf("%s/%d", list, id)
}

// userStatus is active or inactive, as the list says it.
func userStatus(u models.User) string {
	if u.IsActive {
		return "active"
	}
	return "inactive"
}

// engineLabel is what a credential is for.
func engineLabel(p Page, e models.Engine) string {
	if e == "" {
		return p.T("credentials.any_type")
	}
	return engineName(e)
}
