package handlers

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// instanceItemJSON is one row of the instance list.
type instanceItemJSON struct {
	ID                 int64         `json:"id"`
	Name               string        `json:"name"`
	DBType             models.Engine `json:"db_type"`
	Host               *string       `json:"host"`
	Port               *int          `json:"port"`
	Description        string        `json:"description"`
	IsActive           bool          `json:"is_active"`
	DeletedAt          *string       `json:"deleted_at"`
	Status             string        `json:"status"`
	MainVersion        *string       `json:"main_version"`
	ActiveDBCount      int64         `json:"active_db_count"`
	ActiveAccountCount int64         `json:"active_account_count"` // accounts are not collected
	LastSyncTime       *string       `json:"last_sync_time"`
	Tags               []tagJSON     `json:"tags"`
	TotalSizeBytes     *int64        `json:"total_size_bytes"`
	Growth7dBytes      *int64        `json:"growth_7d_bytes"`
}

func newInstanceItem(i models.InstanceItem) instanceItemJSON {
	return instanceItemJSON{
		ID: i.ID, Name: i.Name, DBType: i.DBType, Host: i.Host, Port: i.Port, Description: i.Description,
		IsActive: i.IsActive, DeletedAt: timestampOrNull(i.DeletedAt), Status: i.Status(), MainVersion: orNull(i.MainVersion),
		ActiveDBCount: i.ActiveDatabases, LastSyncTime: timestampOrNull(i.LastSyncTime), Tags: newTags(i.Tags),
		TotalSizeBytes: i.SizeBytes, Growth7dBytes: i.Growth7d,
	}
}

// credentialJSON is the credential of an instance without its secret.
type credentialJSON struct {
	ID             int64  `json:"id"`
	Name           string `json:"name"`
	Username       string `json:"username"`
	Password       string `json:"password"`
	CredentialType string `json:"credential_type"`
}

// instanceJSON is one instance with all its members.
type instanceJSON struct {
	ID              int64             `json:"id"`
	Name            string            `json:"name"`
	DBType          models.Engine     `json:"db_type"`
	Host            *string           `json:"host"`
	Port            *int              `json:"port"`
	DatabaseName    *string           `json:"database_name"`
	DatabaseVersion *string           `json:"database_version"`
	MainVersion     *string           `json:"main_version"`
	DetailedVersion *string           `json:"detailed_version"`
	CredentialID    *int64            `json:"credential_id"`
	Credential      *credentialJSON   `json:"credential"`
	Description     string            `json:"description"`
	Tags            []tagJSON         `json:"tags"`
	IsActive        bool              `json:"is_active"`
	LastConnected   *string           `json:"last_connected"`
	LastSyncTime    *string           `json:"last_sync_time"`
	CreatedAt       string            `json:"created_at"`
	UpdatedAt       string            `json:"updated_at"`
	DeletedAt       *string           `json:"deleted_at"`
	Status          string            `json:"status"`
	TLSMode         models.TLSMode    `json:"tls_mode"`
	Options         map[string]string `json:"options"`
	Schedule        scheduleJSON      `json:"schedule"`
}

func newInstanceJSON(i models.Instance, s models.Schedule) instanceJSON {
	out := instanceJSON{
		ID:              i.ID,
		Name:            i.Name,
		DBType:          i.DBType,
		Host:            i.Host,
		Port:            i.Port,
		DatabaseName:    orNull(i.DatabaseName),
		DatabaseVersion: orNull(i.DatabaseVersion),
		MainVersion:     orNull(i.MainVersion),
		DetailedVersion: orNull(i.DetailedVersion),
		CredentialID:    i.CredentialID,
		Description:     i.Description,
		Tags:            newTags(i.Tags),
		IsActive:        i.IsActive,
		LastConnected:   timestampOrNull(i.LastConnected),
		LastSyncTime:    timestampOrNull(i.LastSyncTime),
		CreatedAt:       timestamp(i.CreatedAt),
		UpdatedAt:       timestamp(i.UpdatedAt),
		DeletedAt:       timestampOrNull(i.DeletedAt),
		Status:          i.Status(),
		TLSMode:         i.TLSMode,
		Options:         i.Options,
		Schedule:        newScheduleJSON(s),
	}
	if c := i.Credential; c != nil {
		out.Credential = &credentialJSON{
			ID: c.ID, Name: c.Name, Username: c.Username, Password: maskedPassword, CredentialType: c.CredentialType,
		}
	}
	return out
}

func (h *handlers) apiInstances(c echo.Context) error {
	q := bindInstanceQuery(c)
	found, err := h.Store.Instances(c.Request().Context(), q)
	if err != nil {
		return err
	}
	items := make([]instanceItemJSON, len(found.Items))
	for i := range found.Items {
		items[i] = newInstanceItem(found.Items[i])
	}
	return h.ok(c, newPage(items, found.Total, q.Limit, q.Offset), "api.instances")
}

// instanceOf returns the instance of the path, unless it is deleted. On an error only its ID may be set.
func (h *handlers) instanceOf(c echo.Context) (models.Instance, error) {
	return findInstance(c, h.Store.Instance)
}

// instanceHeadOf is instanceOf without credential and tags.
func (h *handlers) instanceHeadOf(c echo.Context) (models.Instance, error) {
	return findInstance(c, h.Store.InstanceHead)
}

func findInstance(c echo.Context, find func(context.Context, int64) (models.Instance, error)) (models.Instance, error) {
	id, err := pathID(c, "instance.not_found")
	if err != nil {
		return models.Instance{}, err
	}
	instance, err := find(c.Request().Context(), id)
	if err != nil {
		return models.Instance{ID: id}, err
	}
	return instance, nil
}

func (h *handlers) apiInstance(c echo.Context) error {
	instance, err := h.instanceOf(c)
	if err != nil {
		return err
	}
	return h.answerInstance(c, http.StatusOK, instance, "api.instance")
}

func (h *handlers) answerInstance(c echo.Context, status int, i models.Instance, key string) error {
	schedule, err := h.Store.Schedule(c.Request().Context(), i.ID)
	if err != nil {
		return err
	}
	return h.answer(c, status, echo.Map{"instance": newInstanceJSON(i, schedule)}, key)
}

func (h *handlers) apiCreateInstance(c echo.Context) error {
	f := body(c)
	instance, err := h.createInstance(c, f)
	if err != nil {
		return err
	}
	return h.answerInstance(c, http.StatusCreated, instance, "api.instance_created")
}

// createInstance stores the instance described by the body of either door.
func (h *handlers) createInstance(c echo.Context, f fields) (models.Instance, error) {
	instance, tags, credential, err := h.bindInstance(c, f, nil)
	if err != nil {
		return instance, err
	}
	var names []string
	if tags != nil {
		names = *tags
	}
	auditTarget(c, 0, instance.Name)
	created, err := h.Store.CreateInstance(c.Request().Context(), instance, names, credential)
	auditTarget(c, created.ID, instance.Name)
	return created, err
}

func (h *handlers) apiUpdateInstance(c echo.Context) error {
	f := body(c)
	existing, missing := h.instanceOf(c)
	auditTarget(c, existing.ID, existing.Name)
	if missing != nil {
		existing = models.Instance{} // the input is checked before the 404
	}
	instance, tags, credential, err := h.bindInstance(c, f, &existing)
	if err != nil {
		return err
	}
	if missing != nil {
		return missing
	}
	instance, err = h.Store.UpdateInstance(c.Request().Context(), instance, tags, credential)
	if err != nil {
		return err
	}
	return h.answerInstance(c, http.StatusOK, instance, "api.instance_updated")
}

func (h *handlers) apiDeleteInstance(c echo.Context) error {
	id, err := pathID(c, "instance.not_found")
	if err != nil {
		return err
	}
	instance, err := h.deleteInstance(c, id)
	if err != nil {
		return err
	}
	return h.ok(c, echo.Map{
		"instance_id": id, "deleted_at": timestampOrNull(instance.DeletedAt), "deletion_mode": "soft",
	}, "api.instance_deleted")
}

// deleteInstance moves an instance to the recycle bin.
func (h *handlers) deleteInstance(c echo.Context, id int64) (models.Instance, error) {
	instance, err := h.Store.DeleteInstance(c.Request().Context(), id)
	auditTarget(c, id, instance.Name)
	return instance, err
}

// restoreInstance takes an instance out of the recycle bin and reports whether it was in there.
func (h *handlers) restoreInstance(c echo.Context, id int64) (models.Instance, bool, error) {
	instance, restored, err := h.Store.RestoreInstance(c.Request().Context(), id)
	auditTarget(c, id, instance.Name)
	return instance, restored, err
}

func (h *handlers) apiRestoreInstance(c echo.Context) error {
	id, err := pathID(c, "instance.not_found")
	if err != nil {
		return err
	}
	instance, restored, err := h.restoreInstance(c, id)
	if err != nil {
		return err
	}
	key := "api.instance_restored"
	if !restored {
		key = "api.instance_not_deleted"
	}
	return h.answerInstance(c, http.StatusOK, instance, key)
}

// bindInstanceQuery reads the filter of the instance list. Invalid values fall back to their defaults.
func bindInstanceQuery(c echo.Context) models.InstanceQuery {
	q := models.InstanceQuery{
		Search: c.QueryParam("search"), IncludeDeleted: isYes(c.QueryParam("include_deleted")),
		Sort: "id", Desc: !strings.EqualFold(c.QueryParam("order"), "asc"),
	}
	q.Limit, q.Offset = bindPage(c)
	q.DBType, _ = models.ParseEngine(c.QueryParam("db_type"))
	if sort := c.QueryParam("sort"); slices.Contains(instanceSorts, sort) {
		q.Sort = sort
	}
	if status := c.QueryParam("status"); slices.Contains([]string{"active", "inactive", "paused", "deleted"}, status) {
		q.Status = status
	}
	for _, tag := range c.QueryParams()["tags"] {
		if tag = strings.TrimSpace(tag); tag != "" {
			q.Tags = append(q.Tags, tag)
		}
	}
	return q
}
