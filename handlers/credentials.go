package handlers

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// maskedPassword is shown for every password, whatever its length.
const maskedPassword = "******"

// Limits of a credential: characters, for the password bytes.
const (
	maxCredentialName = 100
	maxUsername       = 255
	maxPasswordBytes  = 512
	maxDescription    = 500
	maxHosts          = 50
	maxHostBytes      = 255
)

// credentialDetailJSON is a credential without its secret.
type credentialDetailJSON struct {
	ID             int64        `json:"id"`
	Name           string       `json:"name"`
	CredentialType string       `json:"credential_type"`
	DBType         *string      `json:"db_type"` // null: for any engine
	Username       string       `json:"username"`
	Password       string       `json:"password"`
	Hosts          models.Hosts `json:"hosts"`
	Description    string       `json:"description"`
	CreatedAt      string       `json:"created_at"`
	UpdatedAt      string       `json:"updated_at"`
}

func newCredentialDetail(c models.Credential) credentialDetailJSON {
	return credentialDetailJSON{
		ID: c.ID, Name: c.Name, CredentialType: c.CredentialType, DBType: orNull(string(c.DBType)),
		Username: c.Username, Password: maskedPassword, Hosts: c.Hosts, Description: c.Description,
		CreatedAt: timestamp(c.CreatedAt), UpdatedAt: timestamp(c.UpdatedAt),
	}
}

// credentialItemJSON is one row of the credential list.
type credentialItemJSON struct {
	credentialDetailJSON
	InstanceCount int64 `json:"instance_count"` // instances that use it, including those in the recycle bin
}

func (h *handlers) apiCredentials(c echo.Context) error {
	q := bindCredentialQuery(c)
	found, err := h.Store.FindCredentials(c.Request().Context(), q)
	if err != nil {
		return err
	}
	items := make([]credentialItemJSON, len(found.Items))
	for i, item := range found.Items {
		items[i] = credentialItemJSON{newCredentialDetail(item.Credential), item.Instances}
	}
	return h.ok(c, newPage(items, found.Total, q.Limit, q.Offset), "api.credentials")
}

// bindCredentialQuery reads the filter of the credential list. Invalid values fall back to their defaults.
func bindCredentialQuery(c echo.Context) models.CredentialQuery {
	q := models.CredentialQuery{Search: c.QueryParam("search"), Sort: "name"}
	q.Limit, q.Offset = bindPage(c)
	q.DBType, _ = models.ParseEngine(c.QueryParam("db_type"))
	return q
}

func (h *handlers) apiCredential(c echo.Context) error {
	credential, err := h.credentialOf(c)
	if err != nil {
		return err
	}
	return h.ok(c, echo.Map{"credential": newCredentialDetail(credential)}, "api.credential")
}

// credentialOf returns the credential of the path. On an error only its ID may be set.
func (h *handlers) credentialOf(c echo.Context) (models.Credential, error) {
	id, err := pathID(c, "credential.not_found")
	if err != nil {
		return models.Credential{}, err
	}
	credential, err := h.Store.Credential(c.Request().Context(), id)
	if err != nil {
		return models.Credential{ID: id}, err
	}
	return credential, nil
}

func (h *handlers) apiCreateCredential(c echo.Context) error {
	credential, err := h.createCredential(c, body(c))
	if err != nil {
		return err
	}
	return h.created(c, echo.Map{"credential": newCredentialDetail(credential)}, "api.saved")
}

// createCredential stores the credential described by the body of either door.
func (h *handlers) createCredential(c echo.Context, f fields) (models.Credential, error) {
	if err := f.require("name", "username", "password"); err != nil {
		return models.Credential{}, err
	}
	credential, password, err := bindCredential(f, models.Credential{})
	if err != nil {
		return credential, err
	}
	auditTarget(c, 0, credential.Name)
	created, err := h.Store.CreateCredential(c.Request().Context(), credential, *password)
	auditTarget(c, created.ID, credential.Name)
	return created, err
}

func (h *handlers) apiUpdateCredential(c echo.Context) error {
	stored, missing := h.credentialOf(c)
	auditTarget(c, stored.ID, stored.Name)
	if missing != nil {
		if _, _, err := bindCredential(body(c), stored); err != nil {
			return err
		}
		return missing
	}
	credential, err := h.updateCredential(c, body(c), stored)
	if err != nil {
		return err
	}
	return h.ok(c, echo.Map{"credential": newCredentialDetail(credential)}, "api.updated")
}

// updateCredential stores the changes described by the body of either door.
func (h *handlers) updateCredential(c echo.Context, f fields, stored models.Credential) (models.Credential, error) {
	credential, password, err := bindCredential(f, stored)
	if err != nil {
		return credential, err
	}
	return h.Store.UpdateCredential(c.Request().Context(), credential, password)
}

func (h *handlers) apiDeleteCredential(c echo.Context) error {
	credential, err := h.deleteCredential(c)
	if err != nil {
		return err
	}
	return h.ok(c, echo.Map{"credential_id": credential.ID}, "api.deleted")
}

// apiDeleteCredentialByPost deletes a credential like apiDeleteCredential, for clients of the original.
func (h *handlers) apiDeleteCredentialByPost(c echo.Context) error {
	return notFoundAs(h.apiDeleteCredential(c), "instance.credential_missing")
}

// deleteCredential deletes the credential of the path.
func (h *handlers) deleteCredential(c echo.Context) (models.Credential, error) {
	credential, err := h.credentialOf(c)
	auditTarget(c, credential.ID, credential.Name)
	if err != nil {
		return credential, err
	}
	return credential, h.Store.DeleteCredential(c.Request().Context(), credential.ID)
}

// bindCredential returns the credential with the changes of the body. The password is nil if it does not change.
func bindCredential(f fields, credential models.Credential) (models.Credential, *string, error) {
	kind := "database"
	if err := f.refuseBlank("name", "username"); err != nil {
		return credential, nil, err
	}
	if err := bindCredentialName(f, &credential.Name); err != nil {
		return credential, nil, err
	}
	if err := f.bindText("credential_type", &kind); err != nil {
		return credential, nil, err
	}
	if err := bindCredentialEngine(f, &credential.DBType); err != nil {
		return credential, nil, err
	}
	if err := f.bindLine("username", maxUsername, &credential.Username); err != nil {
		return credential, nil, err
	}
	if err := bindHosts(f, &credential.Hosts); err != nil {
		return credential, nil, err
	}
	if err := bindDescription(f, &credential.Description); err != nil {
		return credential, nil, err
	}
	if kind != "database" {
		return credential, nil, models.Invalid("credential.type_invalid")
	}

	password, err := bindPassword(f, "password")
	if err == nil && password == nil && f.given("password") {
		err = models.Invalid("field.required", "Fields", "password")
	}
	return credential, password, err
}

// bindCredentialName reads the name, without surrounding space.
func bindCredentialName(f fields, target *string) error {
	name, given, err := f.text("name")
	if err != nil || !given {
		return err
	}
	return fields{"name": strings.TrimSpace(name)}.bindLine("name", maxCredentialName, target)
}

// bindCredentialEngine reads the db_type that the credential is for; null and empty stand for any.
func bindCredentialEngine(f fields, target *models.Engine) error {
	if _, sent := f["db_type"]; sent && f.blank("db_type") {
		*target = ""
		return nil
	}
	return bindEngine(f, target)
}

// bindHosts reads the hosts that a credential may be sent to, a list. Repetitions are left out.
func bindHosts(f fields, target *models.Hosts) error {
	if !f.given("hosts") {
		return nil
	}
	list, isList := f["hosts"].([]any)
	if !isList {
		return models.Invalid("credential.hosts_not_list")
	}
	hosts := models.Hosts{}
	for _, one := range list {
		typed, _, err := fields{"hosts": one}.text("hosts")
		if err != nil {
			return err
		}
		rule, valid := models.ParseHostRule(typed)
		switch {
		case len(typed) > maxHostBytes || !valid:
			return models.Invalid("credential.host_invalid", "Host", shortened(typed))
		case !slices.Contains(hosts, rule):
			hosts = append(hosts, rule)
		}
	}
	if len(hosts) > maxHosts {
		return models.Invalid("credential.hosts_too_many", "Limit", maxHosts)
	}
	*target = hosts
	return nil
}

// bindEngine reads db_type, which may be an alias of the engine.
func bindEngine(f fields, target *models.Engine) error {
	name, given, err := f.text("db_type")
	if err != nil || !given {
		return err
	}
	engine, known := models.ParseEngine(name)
	if !known {
		return models.Invalid("instance.engine_unknown", "Engine", shortened(name))
	}
	*target = engine
	return nil
}

// shortened returns s in a length that fits into a message.
func shortened(s string) string {
	const limit = 100
	return truncate(s, limit)
}

// truncate returns at most limit characters of s, followed by an ellipsis if there were more.
func truncate(s string, limit int) string {
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return s
}

func bindDescription(f fields, target *string) error {
	description, given, err := f.paragraph("description")
	switch {
	case err != nil || !given:
		return err
	case utf8.RuneCountInString(description) > maxDescription:
		return models.Invalid("instance.description_long")
	}
	*target = description
	return nil
}

// bindPassword returns a password as typed, nil if there is none.
func bindPassword(f fields, name string) (*string, error) {
	password, given, err := f.text(name)
	switch {
	case err != nil || !given || password == "":
		return nil, err
	case len(password) > maxPasswordBytes:
		return nil, models.Invalid("credential.password_long")
	}
	return &password, nil
}
