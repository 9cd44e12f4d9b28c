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
	return h.renderInstanceForm(c, emptyInstanceForm())
}

func emptyInstanceForm() views.InstanceForm {
	return views.InstanceForm{
		DBType: models.PostgreSQL, TLSMode: models.TLSPrefer, Options: map[string]string{}, IsActive: true,
		Schedule: scheduleForm(models.AlwaysOn),
	}
}

func (h *handlers) editInstancePage(c echo.Context) error {
	instance, err := h.instanceOf(c)
	if err != nil {
		return err
	}
	form, err := h.formOf(c, instance)
	if err != nil {
		return err
	}
	return h.renderInstanceForm(c, form)
}

// formOf is the form filled with what is stored. The password never comes out.
func (h *handlers) formOf(c echo.Context, i models.Instance) (views.InstanceForm, error) {
	schedule, err := h.scheduleOf(c, i.ID)
	f := views.InstanceForm{
		ID: i.ID, Name: i.Name, DBType: i.DBType, DatabaseName: i.DatabaseName, TLSMode: i.TLSMode,
		Options: map[string]string{}, Description: i.Description, IsActive: i.IsActive,
		Schedule: scheduleForm(schedule),
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
	return f, err
}

func (h *handlers) renderInstanceForm(c echo.Context, f views.InstanceForm) error {
	p := h.page(c)
	form, err := h.instanceScreen(c, p, retyped(f, c.QueryParams()))
	if err != nil {
		return err
	}
	return h.render(c, http.StatusOK, p, form)
}

func (h *handlers) instanceScreen(c echo.Context, p views.Page, f views.InstanceForm) (screen, error) {
	all, err := h.Store.Credentials(c.Request().Context())
	if err != nil {
		return screen{}, err
	}
	for _, one := range all {
		chosen := strconv.FormatInt(one.ID, 10) == f.CredentialID
		if one.DBType == f.DBType || one.DBType == "" || chosen {
			f.Credentials = append(f.Credentials, one)
		}
	}
	h.echoForm(p, f.ID, &f.Schedule)
	title := p.T("instance.new")
	if f.ID != 0 {
		title = p.T("instance.edit")
	}
	return screen{title: title, body: views.InstanceEdit(p, f), fragments: []string{"instance-fields"}}, nil
}

// keepInstanceForm has a refused form come back with what was typed into it instead of what is stored.
func (h *handlers) keepInstanceForm(c echo.Context, form views.InstanceForm) {
	f := body(c)
	engine, mode := string(form.DBType), string(form.TLSMode)
	for name, value := range map[string]*string{
		"name": &form.Name, "db_type": &engine, "host": &form.Host, "port": &form.Port, "database_name": &form.DatabaseName,
		"credential_id": &form.CredentialID, "username": &form.Username, "tls_mode": &mode, "tag_names": &form.Tags,
		"description": &form.Description,
	} {
		typed(f, name, value)
	}
	if known, ok := models.ParseEngine(engine); ok {
		form.DBType = known
	}
	form.TLSMode = models.TLSMode(mode)
	for _, option := range []string{views.OptionCA, views.OptionSID, views.OptionWallet} {
		value := form.Options[option]
		typed(f, "options."+option, &value)
		form.Options[option] = value
	}
	// A value that cannot be read leaves the form as it is; binding reports it.
	_ = f.bindBool("is_active", true, &form.IsActive)
	keepSchedule(f, &form.Schedule)
	showAgain(c, func(problem *views.Failure) (screen, error) {
		form.Problem = problem
		return h.instanceScreen(c, h.page(c), form)
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
	h.keepInstanceForm(c, emptyInstanceForm())
	f := instanceForm(c)
	instance, err := h.createInstance(c, f)
	if err != nil {
		return err
	}
	return h.leave(c, views.InstancePath(instance.ID), h.page(c).T("notice.created"))
}

func (h *handlers) submitInstanceEdit(c echo.Context) error {
	existing, err := h.instanceOf(c)
	auditTarget(c, existing.ID, existing.Name)
	if err != nil {
		return err
	}
	form, err := h.formOf(c, existing)
	if err != nil {
		return err
	}
	h.keepInstanceForm(c, form)
	f := instanceForm(c)
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
