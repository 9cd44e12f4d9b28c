package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

var credentialSorts = []string{"name", "db_type", "username", "instances", "updated"}

func (h *handlers) credentialsPage(c echo.Context) error {
	m := views.CredentialList{Listing: bindListing(c, credentialSorts, "name", false, instanceLimits), Query: bindCredentialQuery(c)}
	m.Path, m.Target, m.Push = "/credentials", "credential-list", true
	keepFilter(c, &m.Listing, "search", "db_type")
	m.Query.Sort, m.Query.Desc, m.Query.Limit = m.Sort, m.Desc, m.Limit
	page, err := lastPageAtMost(&m.Listing, func() (models.CredentialPage, int64, error) {
		m.Query.Offset = m.Offset()
		page, err := h.Store.FindCredentials(c.Request().Context(), m.Query)
		return page, page.Total, err
	})
	if err != nil {
		return err
	}
	m.Items, m.Shown = page.Items, len(page.Items)
	p := h.pageWithNotice(c)
	return h.render(c, http.StatusOK, p, screen{title: p.T("credentials.title"), body: views.Credentials(p, m), fragments: []string{m.Target}})
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

// credentialForm is the form filled with what is stored. The password never comes out.
func credentialForm(c models.Credential) views.CredentialForm {
	return views.CredentialForm{ID: c.ID, Name: c.Name, DBType: string(c.DBType), Username: c.Username, Description: c.Description}
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

// keepCredentialForm has a refused form come back with what was typed into it instead of what is stored.
func (h *handlers) keepCredentialForm(c echo.Context, form views.CredentialForm) {
	f := body(c)
	typed(f, "name", &form.Name)
	typed(f, "db_type", &form.DBType)
	typed(f, "username", &form.Username)
	typed(f, "description", &form.Description)
	showAgain(c, func(problem *views.Failure) (screen, error) {
		form.Problem = problem
		return credentialScreen(h.page(c), form), nil
	})
}

// credentialsChanged makes the list of credentials read itself again.
const credentialsChanged = "credentials-changed"

func (h *handlers) submitCredential(c echo.Context) error {
	h.keepCredentialForm(c, views.CredentialForm{})
	credential, err := h.createCredential(c, body(c))
	if err != nil {
		return err
	}
	return h.changed(c, credentialsChanged, "/credentials", h.page(c).T("notice.credential_created", "Name", credential.Name))
}

// submitCredentialEdit stores what the form says. An empty password stays as it is.
func (h *handlers) submitCredentialEdit(c echo.Context) error {
	stored, err := h.credentialOf(c)
	auditTarget(c, stored.ID, stored.Name)
	if err != nil {
		return err
	}
	h.keepCredentialForm(c, credentialForm(stored))
	f := body(c)
	if f.blank("password") {
		delete(f, "password")
	}
	credential, err := h.updateCredential(c, f, stored)
	if err != nil {
		return err
	}
	return h.changed(c, credentialsChanged, "/credentials", h.page(c).T("notice.credential_updated", "Name", credential.Name))
}

func (h *handlers) submitCredentialDelete(c echo.Context) error {
	credential, err := h.deleteCredential(c)
	if err != nil {
		return err
	}
	return h.changed(c, credentialsChanged, "/credentials", h.page(c).T("notice.credential_deleted", "Name", credential.Name))
}
