package handlers

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// defaultPorts are what servers listen on unless told otherwise.
var defaultPorts = map[models.Engine]int{
	models.MySQL: 3306, models.PostgreSQL: 5432, models.SQLServer: 1433, models.Oracle: 1521,
}

func (h *handlers) newInstancePage(c echo.Context) error {
	return h.renderInstanceForm(c, views.InstanceForm{
		DBType: models.PostgreSQL, TLSMode: models.TLSPrefer, Options: map[string]string{}, IsActive: true,
	})
}

func (h *handlers) editInstancePage(c echo.Context) error {
	instance, err := h.instanceOf(c)
	if err != nil {
		return err
	}
	return h.renderInstanceForm(c, formOf(instance))
}

// formOf is the form filled with what is stored. The password never comes out.
func formOf(i models.Instance) views.InstanceForm {
	f := views.InstanceForm{
		ID: i.ID, Name: i.Name, DBType: i.DBType, DatabaseName: i.DatabaseName, TLSMode: i.TLSMode,
		Options: map[string]string{}, Description: i.Description, IsActive: i.IsActive,
	}
	maps.Copy(f.Options, i.Options)
	if i.Host != nil {
		f.Host = *i.Host
	}
	if i.Port != nil {
		f.Port = strconv.Itoa(*i.Port)
	}
	if i.CredentialID != nil {
		f.CredentialID = strconv.FormatInt(*i.CredentialID, 10)
	}
	names := make([]string, len(i.Tags))
	for n, t := range i.Tags {
		names[n] = t.Name
	}
	f.Tags = strings.Join(names, ", ")
	return f
}

func (h *handlers) renderInstanceForm(c echo.Context, f views.InstanceForm) error {
	f = retyped(f, c.QueryParams())
	all, err := h.Store.Credentials(c.Request().Context())
	if err != nil {
		return err
	}
	for _, one := range all {
		if one.DBType == f.DBType {
			f.Credentials = append(f.Credentials, one)
		}
	}
	p := h.page(c)
	title := p.T("instance.new")
	if f.ID != 0 {
		title = p.T("instance.edit")
	}
	return h.render(c, http.StatusOK, p, screen{
		title: title, body: views.InstanceEdit(p, f), fragments: []string{"instance-fields"},
	})
}

// retyped is the form with what was typed before another engine was chosen. The port follows the engine
// as long as it is the default of the one shown before.
func retyped(f views.InstanceForm, typed url.Values) views.InstanceForm {
	shown, _ := models.ParseEngine(typed.Get("shown_type"))
	if engine, ok := models.ParseEngine(typed.Get("db_type")); ok {
		f.DBType = engine
	}
	if typed.Has("shown_type") {
		f.Host, f.Port = cmp.Or(typed.Get("host"), f.Host), cmp.Or(typed.Get("port"), f.Port)
		f.Username, f.CredentialID = typed.Get("username"), typed.Get("credential_id")
		f.TLSMode = models.TLSMode(cmp.Or(typed.Get("tls_mode"), string(f.TLSMode)))
		if shown != models.SQLite && f.DBType != models.SQLite {
			f.DatabaseName = typed.Get("database_name")
		}
		if shown == models.Oracle {
			f.Options[views.OptionSID], f.Options[views.OptionWallet] = typed.Get("options."+views.OptionSID), typed.Get("options."+views.OptionWallet)
		}
	}
	if f.Port == "" || shown != f.DBType && f.Port == strconv.Itoa(defaultPorts[shown]) {
		f.Port = ""
		if port, ok := defaultPorts[f.DBType]; ok {
			f.Port = strconv.Itoa(port)
		}
	}
	return f
}

// instanceForm is what the form says. What was typed beside a chosen credential is not meant.
func instanceForm(c echo.Context) fields {
	f := body(c)
	if !f.blank("credential_id") {
		delete(f, "username")
		delete(f, "password")
	}
	return f
}

func (h *handlers) submitInstance(c echo.Context) error {
	f := instanceForm(c)
	instance, err := h.createInstance(c, f)
	if err != nil {
		return err
	}
	return h.leave(c, views.InstancePath(instance.ID), h.page(c).T("notice.created"))
}

func (h *handlers) submitInstanceEdit(c echo.Context) error {
	f := instanceForm(c)
	existing, err := h.instanceOf(c)
	if err != nil {
		return err
	}
	instance, tags, credential, err := h.bindInstance(c, f, &existing)
	if err != nil {
		return err
	}
	instance, err = h.Store.UpdateInstance(c.Request().Context(), instance, tags, credential)
	if err != nil {
		return err
	}
	return h.leave(c, views.InstancePath(instance.ID), h.page(c).T("notice.updated"))
}

// testTypedConnection connects with what is typed in the form, which need not be saved.
func (h *handlers) testTypedConnection(c echo.Context) error {
	f := instanceForm(c)
	version, err := h.testTarget(c, f)
	if err != nil {
		return connectionFailed(err)
	}
	return h.fragment(c, http.StatusOK, views.TestPassed(h.page(c), version))
}
