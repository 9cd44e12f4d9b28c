package handlers

import (
	"cmp"
	"crypto/x509"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"whalefall/collectors"
	"whalefall/models"
)

// Limits of an instance: characters, for options bytes.
const (
	maxInstanceName = 100
	maxDatabaseName = 512 // also the path of a SQLite file
	maxTagName      = 50
	maxTags         = 50
	maxOptions      = 20
	maxOptionBytes  = 64 << 10 // enough for a chain of certificates
)

var instanceNamePattern = regexp.MustCompile(`^[\p{Han}A-Za-z0-9_-]+$`)

var tlsModes = []models.TLSMode{
	models.TLSDisable, models.TLSPrefer, models.TLSRequire, models.TLSVerifyCA, models.TLSVerifyFull,
}

// bindInstance returns the existing instance, or a new one if it is nil, with the changes of the body. Nil tag names
// mean no change, a nil login that none was typed in.
func (h *handlers) bindInstance(
	c echo.Context, f fields, existing *models.Instance,
) (models.Instance, *[]string, *models.TypedLogin, error) {
	instance := models.Instance{IsActive: true, TLSMode: models.TLSPrefer, Options: map[string]string{}}
	if existing != nil {
		instance = *existing
	}
	form := !isAPI(c)
	if err := bindInstanceFields(f, form, &instance); err != nil {
		return instance, nil, nil, err
	}
	names, named, err := bindTagNames(f, form)
	if err != nil {
		return instance, nil, nil, err
	}
	login, err := h.bindInstanceCredential(c, f, &instance)
	if err != nil {
		return instance, nil, nil, err
	}
	if instance.Schedule, err = h.bindSchedule(c, f, instance.ID); err != nil {
		return instance, nil, nil, err
	}
	var tags *[]string
	if named {
		tags = &names
	}
	return instance, tags, login, nil
}

// bindInstanceFields reads the members of the instance itself, without tags, credential and schedule.
func bindInstanceFields(f fields, form bool, instance *models.Instance) error {
	if err := requireInstance(f, instance.DatabaseName, "name"); err != nil {
		return err
	}
	if err := bindInstanceName(f, &instance.Name); err != nil {
		return err
	}
	if err := bindAddress(f, instance); err != nil {
		return err
	}
	if err := bindDescription(f, &instance.Description); err != nil {
		return err
	}
	if err := bindTransport(f, form, instance); err != nil {
		return err
	}
	return f.bindBool("is_active", form, &instance.IsActive)
}

// bindTransport reads TLS mode and options.
func bindTransport(f fields, form bool, instance *models.Instance) error {
	if err := bindTLSMode(f, &instance.TLSMode); err != nil {
		return err
	}
	options, given, err := bindOptions(f, form)
	if err == nil && given {
		instance.Options = options
	}
	return err
}

// requireInstance returns a 400 if host and port, or for SQLite the path of the file, are missing.
func requireInstance(f fields, storedPath string, others ...string) error {
	name, _ := f["db_type"].(string)
	if engine, _ := models.ParseEngine(name); engine != models.SQLite {
		return f.require(append(others, "db_type", "host", "port")...)
	}
	if storedPath == "" || f.given("database_name") {
		others = append(others, "database_name")
	}
	return f.require(append(others, "db_type")...)
}

func bindInstanceName(f fields, target *string) error {
	name, given, err := f.text("name")
	name = strings.TrimSpace(name)
	switch {
	case err != nil || !given:
		return err
	case utf8.RuneCountInString(name) > maxInstanceName:
		return models.Invalid("instance.name_long")
	case !instanceNamePattern.MatchString(name):
		return models.Invalid("instance.name_characters")
	}
	*target = name
	return nil
}

// bindAddress reads engine, host, port and database name.
func bindAddress(f fields, instance *models.Instance) error {
	if err := bindEngine(f, &instance.DBType); err != nil {
		return err
	}

	if instance.DBType == models.SQLite {
		instance.Host, instance.Port = nil, nil
	} else {
		if err := bindHost(f, &instance.Host); err != nil {
			return err
		}
		if err := bindPort(f, &instance.Port); err != nil {
			return err
		}
	}

	if _, sent := f["database_name"]; sent && !f.given("database_name") {
		instance.DatabaseName = ""
	}
	return f.bindLine("database_name", maxDatabaseName, &instance.DatabaseName)
}

func bindHost(f fields, target **string) error {
	host, given, err := f.text("host")
	if err != nil || !given {
		return err
	}

	host, valid := models.ParseHost(host)
	if !valid {
		return models.Invalid("instance.host_invalid")
	}
	*target = &host
	return nil
}

func bindPort(f fields, target **int) error {
	if !f.given("port") {
		return nil
	}

	n, ok := integer(f["port"])
	switch {
	case !ok:
		return models.Invalid("instance.port_not_integer")
	case n < 1 || n > 65535:
		return models.Invalid("instance.port_range")
	}
	port := int(n)
	*target = &port
	return nil
}

func bindTLSMode(f fields, target *models.TLSMode) error {
	name, given, err := f.text("tls_mode")
	mode := models.TLSMode(name)
	if err != nil || !given || name == "" {
		return err
	}
	if !slices.Contains(tlsModes, mode) {
		return models.Invalid("instance.tls_mode_invalid")
	}
	*target = mode
	return nil
}

// bindOptions reads options, an object of strings. Forms have a field "options.<name>" for each option. Empty values
// are dropped.
func bindOptions(f fields, form bool) (map[string]string, bool, error) {
	members, given := f["options"].(map[string]any)
	switch {
	case form:
		members = map[string]any{}
		for name, value := range f {
			if option, is := strings.CutPrefix(name, "options."); is {
				members[option], given = value, true
			}
		}
	case !given && f.given("options"):
		return nil, false, models.Invalid("instance.options_invalid")
	}
	if !given {
		return nil, false, nil
	}
	options, texts := map[string]string{}, fields(members)
	for name := range members {
		value, _, err := texts.paragraph(name)
		if err != nil || len(members) > maxOptions || len(value) > maxOptionBytes || !optionPattern.MatchString(name) {
			return nil, false, models.Invalid("instance.options_invalid")
		}
		if name == models.OptionCACertificate && value != "" && !isCertificate(value) {
			return nil, false, models.Invalid("instance.certificate_invalid", "Field", "options."+name)
		}
		if value != "" {
			options[name] = value
		}
	}
	return options, true, nil
}

// isCertificate reports whether s contains a usable PEM certificate.
func isCertificate(s string) bool { return x509.NewCertPool().AppendCertsFromPEM([]byte(s)) }

var optionPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// bindTagNames reads tag_names. Forms may also list them in the field tags, separated by commas.
func bindTagNames(f fields, form bool) (names []string, given bool, err error) {
	value := f["tag_names"]
	if form && value == nil {
		value = f["tags"]
	}
	if value == nil {
		return nil, false, nil
	}
	if text, isText := value.(string); isText && form {
		names, err = cleanTagNames(strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\uff0c' }))
		return names, true, err
	}
	list, isList := value.([]any)
	if !isList {
		return nil, false, models.Invalid("instance.tags_not_list")
	}
	names, err = cleanTagNames(list)
	return names, true, err
}

func cleanTagNames[T any](list []T) ([]string, error) {
	names := []string{}
	for _, one := range list {
		name, _, err := fields{"tag_names": one}.line("tag_names", maxTagName)
		if err != nil {
			return nil, err
		}
		if name = strings.TrimSpace(name); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > maxTags {
		return nil, models.Invalid("instance.tags_too_many", "Limit", maxTags)
	}
	return names, nil
}

// bindInstanceCredential reads the chosen credential, or a login typed in.
func (h *handlers) bindInstanceCredential(
	c echo.Context, f fields, instance *models.Instance,
) (*models.TypedLogin, error) {
	if value, there := f["credential_id"]; there {
		stored, err := h.chosenCredential(c, value)
		if err != nil {
			return nil, err
		}
		instance.CredentialID, instance.Credential = nil, stored
		if stored != nil {
			instance.CredentialID = &stored.ID
		}
	}
	if instance.DBType == models.SQLite {
		return nil, nil //nolint:nilnil // a file needs no login
	}
	return bindLogin(f, instance.Credential, *instance.Host)
}

// chosenCredential returns the credential whose ID is in value, nil if none is chosen.
func (h *handlers) chosenCredential(c echo.Context, value any) (*models.Credential, error) {
	if value == nil || value == "" {
		return nil, nil //nolint:nilnil // documented
	}
	id, ok := integer(value)
	if !ok || id < 1 {
		return nil, models.Invalid("instance.credential_missing")
	}
	stored, err := h.Store.Credential(c.Request().Context(), id)
	if models.Is(err, models.CodeNotFound) {
		err = models.Invalid("instance.credential_missing")
	}
	return &stored, err
}

// bindLogin reads a login typed in for a host, nil if there is none: a user name and password, or the password of the
// current credential once more. A current credential that may not be sent to the host is then refused.
func bindLogin(f fields, current *models.Credential, host string) (*models.TypedLogin, error) {
	login, err := bindNewCredential(f, current)
	if err != nil || login != nil || current == nil {
		return login, err
	}
	refused := current.RequireHost(host, models.CodeInvalid)
	again, err := bindPassword(f, passwordAgain)
	if err == nil && refused != nil && again != nil {
		return &models.TypedLogin{Password: *again, Again: true}, nil
	}
	return nil, cmp.Or(err, refused)
}

// passwordAgain is the field for the password of a stored credential that may not be sent to the host yet.
const passwordAgain = "password_again"

// bindNewCredential reads a user name and password, nil if there are none. The user name of the current credential, nil
// if there is none, without a password means no change.
func bindNewCredential(f fields, current *models.Credential) (*models.TypedLogin, error) {
	if f.blank("username") && !f.given("password") {
		return nil, nil //nolint:nilnil // documented
	}
	username, _, err := f.line("username", maxUsername)
	if err != nil {
		return nil, err
	}
	password, err := bindPassword(f, "password")
	switch {
	case err != nil:
		return nil, err
	case password != nil && username != "":
		return &models.TypedLogin{Username: username, Password: *password}, nil
	case password != nil:
		return nil, models.Invalid("field.required", "Fields", "username")
	case username == "" || current != nil && current.Username == username:
		return nil, nil //nolint:nilnil // documented
	}
	return nil, models.Invalid("field.required", "Fields", "password")
}

// bindTarget returns the server that the body describes, with a stored credential or a typed user name and password.
func (h *handlers) bindTarget(c echo.Context, f fields) (collectors.Target, error) {
	instance := models.Instance{TLSMode: models.TLSPrefer, Options: map[string]string{}}
	if err := requireInstance(f, ""); err != nil {
		return collectors.Target{}, err
	}
	if err := bindAddress(f, &instance); err != nil {
		return collectors.Target{}, err
	}
	if err := bindTransport(f, !isAPI(c), &instance); err != nil {
		return collectors.Target{}, err
	}

	name, _ := f["name"].(string)
	t := collectors.Target{
		Name: shortened(name), Engine: instance.DBType, Database: instance.DatabaseName,
		TLSMode: instance.TLSMode, Options: instance.Options,
	}
	if instance.DBType == models.SQLite {
		return t, nil
	}
	t.Host, t.Port = *instance.Host, *instance.Port
	if name == "" {
		t.Name = t.Host
	}
	var err error
	t.Username, t.Password, err = h.loginFor(c, f, t.Host)
	return t, err
}

// loginFor returns the user name and password to log in to a host with: those typed in, else those of the chosen
// credential.
func (h *handlers) loginFor(c echo.Context, f fields, host string) (username, password string, err error) {
	chosen, err := h.chosenCredential(c, f["credential_id"])
	if err != nil {
		return "", "", err
	}
	login, err := bindLogin(f, chosen, host)
	switch {
	case err != nil:
		return "", "", err
	case login != nil && login.Again:
		return chosen.Username, login.Password, nil
	case login != nil:
		return login.Username, login.Password, nil
	case chosen == nil:
		return "", "", models.Invalid("field.required", "Fields", "credential_id")
	}
	password, err = h.Store.Password(*chosen)
	return chosen.Username, password, err
}
