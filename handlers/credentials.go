package handlers

import (
	"cmp"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// maskedPassword stands for every password; it says nothing about the real one, not even its length.
const maskedPassword = "******"

// Limits on what a credential holds: characters, for the password bytes.
const (
	maxCredentialName = 100
	maxUsername       = 255
	maxPasswordBytes  = 512
	maxDescription    = 500
)

// credentialDetailJSON is a credential with everything but its secret.
type credentialDetailJSON struct {
	ID             int64   `json:"id"`
	Name           string  `json:"name"`
	CredentialType string  `json:"credential_type"`
	DBType         *string `json:"db_type"` // null: for any
	Username       string  `json:"username"`
	Password       string  `json:"password"`
	Description    string  `json:"description"`
	CreatedAt      string  `json:"created_at"`
	UpdatedAt      string  `json:"updated_at"`
}

func newCredentialDetail(c models.Credential) credentialDetailJSON {
	return credentialDetailJSON{
		ID: c.ID, Name: c.Name, CredentialType: c.CredentialType, DBType: orNull(string(c.DBType)),
		Username: c.Username, Password: maskedPassword, Description: c.Description,
		CreatedAt: timestamp(c.CreatedAt), UpdatedAt: timestamp(c.UpdatedAt),
	}
}

func (h *handlers) apiCredentials(c echo.Context) error {
	all, err := h.Store.Credentials(c.Request().Context())
	if err != nil {
		return err
	}
	return h.ok(c, slicePage(c, all, newCredentialDetail), "api.credentials")
}

func (h *handlers) apiCredential(c echo.Context) error {
	credential, err := h.credentialOf(c)
	if err != nil {
		return err
	}
	return h.ok(c, echo.Map{"credential": newCredentialDetail(credential)}, "api.credential")
}

func (h *handlers) credentialOf(c echo.Context) (models.Credential, error) {
	id, err := pathID(c, "credential.not_found")
	if err != nil {
		return models.Credential{}, err
	}
	credential, err := h.Store.Credential(c.Request().Context(), id)
	about(c, id, credential.Name)
	return credential, err
}

func (h *handlers) apiCreateCredential(c echo.Context) error {
	f := body(c)
	if err := f.require("name", "username", "password"); err != nil {
		return err
	}
	credential, password, err := bindCredential(f, models.Credential{})
	if err != nil {
		return err
	}
	about(c, 0, credential.Name)
	credential, err = h.Store.CreateCredential(c.Request().Context(), credential, *password)
	if err != nil {
		return err
	}
	about(c, credential.ID, credential.Name)
	return h.created(c, echo.Map{"credential": newCredentialDetail(credential)}, "api.saved")
}

func (h *handlers) apiUpdateCredential(c echo.Context) error {
	f := body(c)
	stored, missing := h.credentialOf(c)
	credential, password, err := bindCredential(f, stored)
	if err != nil {
		return err
	}
	if missing != nil {
		return missing
	}
	credential, err = h.Store.UpdateCredential(c.Request().Context(), credential, password)
	if err != nil {
		return err
	}
	return h.ok(c, echo.Map{"credential": newCredentialDetail(credential)}, "api.updated")
}

func (h *handlers) apiDeleteCredential(c echo.Context) error {
	credential, err := h.credentialOf(c)
	if err != nil {
		return err
	}
	if err := h.Store.DeleteCredential(c.Request().Context(), credential.ID); err != nil {
		return err
	}
	return h.ok(c, echo.Map{"credential_id": credential.ID}, "api.deleted")
}

// bindCredential is the credential with what the body says instead; the password is nil when it stays as it is.
func bindCredential(f fields, credential models.Credential) (models.Credential, *string, error) {
	kind := "database"
	err := cmp.Or(
		f.refuseBlank("name", "username"),
		into(&credential.Name)(f.line("name", maxCredentialName)),
		into(&kind)(f.text("credential_type")),
		into(&credential.DBType)(bindEngine(f)),
		into(&credential.Username)(f.line("username", maxUsername)),
		into(&credential.Description)(bindDescription(f)),
	)
	if err != nil {
		return credential, nil, err
	}
	if kind != "database" {
		return credential, nil, models.Invalid("credential.type_invalid")
	}
	password, err := bindPassword(f)
	if err == nil && password == nil && f.given("password") {
		err = models.Invalid("field.required", "Fields", "password")
	}
	return credential, password, err
}

// bindEngine is the db_type; an empty one is for any.
func bindEngine(f fields) (models.Engine, bool, error) {
	name, given, err := f.text("db_type")
	if err != nil || !given || name == "" {
		return "", given, err
	}
	engine, known := models.ParseEngine(name)
	if !known {
		return "", false, models.Invalid("instance.engine_unknown", "Engine", abbreviated(name))
	}
	return engine, true, nil
}

// abbreviated is what somebody sent, short enough to be repeated in a message.
func abbreviated(s string) string {
	const limit = 100
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return s
}

func bindDescription(f fields) (string, bool, error) {
	description, given, err := f.paragraph("description")
	if err == nil && utf8.RuneCountInString(description) > maxDescription {
		err = models.Invalid("instance.description_long")
	}
	return description, given, err
}

// bindPassword is the password as typed; nil when none was.
func bindPassword(f fields) (*string, error) {
	password, given, err := f.text("password")
	switch {
	case err != nil || !given || password == "":
		return nil, err
	case len(password) > maxPasswordBytes:
		return nil, models.Invalid("credential.password_long")
	}
	return &password, nil
}
