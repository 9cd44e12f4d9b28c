package views

import (
	"strings"

	"whalefall/models"
)

// CredentialList is the model of the page with all credentials.
type CredentialList struct {
	Listing
	Items []models.CredentialItem
	Query models.CredentialQuery
}

// CredentialForm holds the input for a new credential or a change of one. It never contains a password.
type CredentialForm struct {
	ID          int64 // 0: a new credential
	Name        string
	DBType      string // empty: any
	Username    string
	Hosts       string // one a line; empty: any
	Description string
	Problem     *Failure // why the input was refused; nil: it was not
}

// Path returns the address of the form.
func (f CredentialForm) Path() string { return formPath("/credentials", f.ID) }

// Action returns the address that the form is sent to.
func (f CredentialForm) Action() string { return formAction("/credentials", f.ID) }

// engineLabel returns the name of the engine that a credential is for.
func engineLabel(p Page, e models.Engine) string {
	if e == "" {
		return p.T("credentials.any_type")
	}
	return engineName(e)
}

// hostsLabel returns the hosts that a credential may be sent to.
func hostsLabel(p Page, hosts models.Hosts) string {
	return orReason(strings.Join(hosts, p.T("list.separator")), p.T("credentials.any_host"))
}
