package views

import "whalefall/models"

// UserList is the model of the page with all users.
type UserList struct {
	Listing
	Items []models.User
	Query models.UserQuery
}

// UserForm holds the input for a new user or a change of one. It never contains a password.
type UserForm struct {
	ID       int64 // 0: a new user
	Username string
	Role     models.Role
	IsActive bool
	Own      bool     // the user who is logged in
	Problem  *Failure // why the input was refused; nil: it was not
}

// Path returns the address of the form.
func (f UserForm) Path() string { return formPath("/users", f.ID) }

// Action returns the address that the form is sent to.
func (f UserForm) Action() string { return formAction("/users", f.ID) }

// userStatus returns "active" or "inactive".
func userStatus(u models.User) string {
	if u.IsActive {
		return "active"
	}
	return "inactive"
}
