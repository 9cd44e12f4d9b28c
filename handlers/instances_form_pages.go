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

// defaultPorts maps engines to the ports that their servers use by default.
var defaultPorts = map[models.Engine]int{
	models.MySQL: 3306, models.PostgreSQL: 5432, models.SQLServer: 1433, models.Oracle: 1521,
}

func (h *handlers) newInstancePage(c echo.Context) error {
	return h.renderInstanceForm(c, emptyInstanceForm())
}

func emptyInstanceForm() views.InstanceForm {
	return views.InstanceForm{
		DBType: models.PostgreSQL, Options: map[string]string{}, IsActive: true, Schedule: scheduleForm(models.AlwaysOn),
	}
}

func (h *handlers) editInstancePage(c echo.Context) error {
	instance, err := h.instanceOf(c)
	if err != nil {
		return err
	}
	form, err := h.storedInstanceForm(c, instance)
	if err != nil {
		return err
	}
	return h.renderInstanceForm(c, form)
}

// storedInstanceForm returns the form filled with the stored instance, without its password.
func (h *handlers) storedInstanceForm(c echo.Context, i models.Instance) (views.InstanceForm, error) {
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
	form, err := h.instanceScreen(c, p, withTyped(f, typedBefore(c)))
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
	h.describeForm(p, f.ID, &f.Schedule)
	title := p.T("instance.new")
	if f.ID != 0 {
		title = p.T("instance.edit")
	}
	return screen{title: title, body: views.InstanceEdit(p, f), fragments: []string{"instance-fields"}}, nil
}

// redisplayInstanceForm has the form come back with what was typed if this write is refused.
func (h *handlers) redisplayInstanceForm(c echo.Context, form views.InstanceForm) {
	f := body(c)
	engine, mode := string(form.DBType), string(form.TLSMode)
	for name, value := range map[string]*string{
		"name": &form.Name, "db_type": &engine, "host": &form.Host, "port": &form.Port, "database_name": &form.DatabaseName,
		"credential_id": &form.CredentialID, "username": &form.Username, "tls_mode": &mode, "tag_names": &form.Tags,
		"description": &form.Description,
	} {
		bindTyped(f, name, value)
	}
	if known, ok := models.ParseEngine(engine); ok {
		form.DBType = known
	}
	form.TLSMode = models.TLSMode(mode)
	for _, option := range []string{models.OptionCACertificate, models.OptionSID, models.OptionWallet} {
		value := form.Options[option]
		bindTyped(f, "options."+option, &value)
		form.Options[option] = value
	}
	// An unreadable value leaves the form unchanged; binding reports it.
	_ = f.bindBool("is_active", true, &form.IsActive)
	bindScheduleForm(f, &form.Schedule)
	redisplay(c, func(problem *views.Failure) (screen, error) {
		form.Problem = problem
		return h.instanceScreen(c, h.page(c), form)
	})
}

// typedBefore returns what was typed into the form before another engine was chosen. The address of a page says no more
// than the engine: somebody else's link must not fill in a host.
func typedBefore(c echo.Context) url.Values {
	if isPartial(c) {
		return c.QueryParams()
	}
	return url.Values{"db_type": {c.QueryParam("db_type")}}
}

// withTyped returns the form with what was typed before another engine was chosen. A port that is the old engine's
// default becomes the new engine's.
func withTyped(f views.InstanceForm, typed url.Values) views.InstanceForm {
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
			f.Options[models.OptionSID] = typed.Get("options." + models.OptionSID)
			f.Options[models.OptionWallet] = typed.Get("options." + models.OptionWallet)
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

// instanceForm returns the fields of the form. A chosen credential overrides a typed user name and password; without a
// chosen TLS mode it is the proposed one.
func instanceForm(c echo.Context) fields {
	f := body(c)
	if f["tls_mode"] == "" {
		f["tls_mode"] = string(proposedTLSMode(f))
	}
	if !f.blank("credential_id") {
		delete(f, "username")
		delete(f, "password")
	}
	return f
}

// proposedTLSMode returns the TLS mode that the form of a new instance proposes: encryption for everything that leaves
// this computer. It is not proposed for Oracle, whose listeners rarely offer it and whose logins are challenges.
func proposedTLSMode(f fields) models.TLSMode {
	name, _ := f["db_type"].(string)
	engine, _ := models.ParseEngine(name)
	typed, _ := f["host"].(string)
	if host, _ := models.ParseHost(typed); engine == models.Oracle || models.IsLoopback(host) {
		return models.TLSPrefer
	}
	return models.TLSRequire
}

func (h *handlers) submitInstance(c echo.Context) error {
	h.redisplayInstanceForm(c, emptyInstanceForm())
	f := instanceForm(c)
	instance, err := h.createInstance(c, f)
	if err != nil {
		return err
	}
	return h.redirectWithNotice(c, views.InstancePath(instance.ID), h.page(c).T("notice.created"))
}

func (h *handlers) submitInstanceEdit(c echo.Context) error {
	existing, err := h.instanceOf(c)
	auditTarget(c, existing.ID, existing.Name)
	if err != nil {
		return err
	}
	form, err := h.storedInstanceForm(c, existing)
	if err != nil {
		return err
	}
	h.redisplayInstanceForm(c, form)
	f := instanceForm(c)
	instance, tags, credential, err := h.bindInstance(c, f, &existing)
	if err != nil {
		return err
	}
	instance, err = h.Store.UpdateInstance(c.Request().Context(), instance, tags, credential)
	if err != nil {
		return err
	}
	return h.redirectWithNotice(c, views.InstancePath(instance.ID), h.page(c).T("notice.updated"))
}

// testTypedConnection connects to the server described by the form, which need not be saved.
func (h *handlers) testTypedConnection(c echo.Context) error {
	f := instanceForm(c)
	version, err := h.testTarget(c, f)
	if err != nil {
		return connectionFailed(err)
	}
	return h.fragment(c, http.StatusOK, views.TestPassed(h.page(c), version))
}
