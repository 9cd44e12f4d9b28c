package handlers

import (
	"net/http"
	"strings"
	"unicode"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

var credentialSorts = []string{"name", "db_type", "username", "instances", "updated"}

func (h *handlers) credentialsPage(c echo.Context) error {
	m := views.CredentialList{
		Listing: bindListing(c, credentialSorts, "name", false, instanceLimits),
		Query:   bindCredentialQuery(c),
	}
	m.Path, m.Target, m.Push = "/credentials", "credential-list", true
	keepFilter(c, &m.Listing, "search", "db_type")
	m.Query.Sort, m.Query.Desc, m.Query.Limit = m.Sort, m.Desc, m.Limit
	page, err := clampedPage(&m.Listing, func() (models.CredentialPage, int64, error) {
		m.Query.Offset = m.Offset()
		page, err := h.Store.FindCredentials(c.Request().Context(), m.Query)
		return page, page.Total, err
	})
	if err != nil {
		return err
	}
	m.Items, m.Shown = page.Items, len(page.Items)
	p := h.pageWithNotice(c)
	return h.render(c, http.StatusOK, p,
		screen{title: p.T("credentials.title"), body: views.Credentials(p, m), fragments: []string{m.Target}})
}

func (h *handlers) newCredentialPage(c echo.Context) error {
	return h.renderCredentialForm(c, views.CredentialForm{})
}

func (h *handlers) editCredentialPage(c echo.Context) error {
	credential, err := h.credentialOf(c)
	if err != nil {
		return err
	}
	return h.renderCredentialForm(c, credentialForm(credential))
}

// credentialForm returns the form filled with the stored credential, without its password.
func credentialForm(c models.Credential) views.CredentialForm {
	return views.CredentialForm{
		ID:          c.ID,
		Name:        c.Name,
		DBType:      string(c.DBType),
		Username:    c.Username,
		Hosts:       strings.Join(c.Hosts, "\n"),
		Description: c.Description,
	}
}

func (h *handlers) renderCredentialForm(c echo.Context, f views.CredentialForm) error {
	p := h.page(c)
	return h.render(c, http.StatusOK, p, credentialScreen(p, f))
}

func credentialScreen(p views.Page, f views.CredentialForm) screen {
	title := "credentials.add"
	if f.ID != 0 {
		title = "credentials.edit"
	}
	return screen{title: p.T(title), body: views.CredentialEdit(p, f)}
}

// redisplayCredentialForm has the form come back with what was typed if this write is refused.
func (h *handlers) redisplayCredentialForm(c echo.Context, form views.CredentialForm) {
	f := body(c)
	bindTyped(f, "name", &form.Name)
	bindTyped(f, "db_type", &form.DBType)
	bindTyped(f, "username", &form.Username)
	bindTyped(f, "hosts", &form.Hosts)
	bindTyped(f, "description", &form.Description)
	redisplay(c, func(problem *views.Failure) (screen, error) {
		form.Problem = problem
		return credentialScreen(h.page(c), form), nil
	})
}

// credentialFields returns the fields of the form with its hosts as a list.
func credentialFields(c echo.Context) fields {
	f := body(c)
	if text, isText := f["hosts"].(string); isText {
		hosts := []any{}
		for one := range strings.FieldsFuncSeq(text, separatesHosts) {
			hosts = append(hosts, one)
		}
		f["hosts"] = hosts
	}
	return f
}

// separatesHosts reports whether a character stands between hosts in a form.
func separatesHosts(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",;，；、", r) }

// credentialsChanged is the event on which the list of credentials reloads itself.
const credentialsChanged = "credentials-changed"

func (h *handlers) submitCredential(c echo.Context) error {
	h.redisplayCredentialForm(c, views.CredentialForm{})
	credential, err := h.createCredential(c, credentialFields(c))
	if err != nil {
		return err
	}
	return h.answerChanged(c, credentialsChanged, "/credentials",
		h.page(c).T("notice.credential_created", "Name", credential.Name))
}

// submitCredentialEdit updates the credential. An empty password leaves the stored one.
func (h *handlers) submitCredentialEdit(c echo.Context) error {
	stored, err := h.credentialOf(c)
	auditTarget(c, stored.ID, stored.Name)
	if err != nil {
		return err
	}
	h.redisplayCredentialForm(c, credentialForm(stored))
	f := credentialFields(c)
	if f.blank("password") {
		delete(f, "password")
	}
	credential, err := h.updateCredential(c, f, stored)
	if err != nil {
		return err
	}
	return h.answerChanged(c, credentialsChanged, "/credentials",
		h.page(c).T("notice.credential_updated", "Name", credential.Name))
}

func (h *handlers) submitCredentialDelete(c echo.Context) error {
	credential, err := h.deleteCredential(c)
	if err != nil {
		return err
	}
	return h.answerChanged(c, credentialsChanged, "/credentials",
		h.page(c).T("notice.credential_deleted", "Name", credential.Name))
}
