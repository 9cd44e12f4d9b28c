package handlers

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// maxTagDeletions is the largest number of tags that one request may delete.
const maxTagDeletions = 1000

// tagCategories lists the categories that clients of the original offer, in their order. Any other text may be one.
var tagCategories = []string{
	"location", "company_type", "environment", "department", "project", "virtualization", "deployment", "architecture",
	"other",
}

func categoryName(lang, category string) string {
	return views.Message(lang, "tag.category."+category, nil)
}

func (h *handlers) apiTagCategories(c echo.Context) error {
	pairs := make([][2]string, len(tagCategories))
	for i, category := range tagCategories {
		pairs[i] = [2]string{category, categoryName(lang(c), category)}
	}
	return h.ok(c, echo.Map{"categories": pairs}, "api.done")
}

func categoryNames(lang string) map[string]string {
	names := map[string]string{}
	for _, category := range tagCategories {
		names[category] = categoryName(lang, category)
	}
	return names
}

// tagOptionsJSON lists the tags to choose from.
type tagOptionsJSON struct {
	Tags     []taggedJSON `json:"tags"`
	Category *string      `json:"category"` // the filter; null: all
}

func (h *handlers) apiTagOptions(c echo.Context) error {
	category := strings.TrimSpace(c.QueryParam("category"))
	tags, err := h.Store.TagsOfCategory(c.Request().Context(), category)
	if err != nil {
		return err
	}
	return h.ok(c, tagOptionsJSON{newTaggedList(lang(c), tags), orNull(category)}, "api.done")
}

// tagDeletionJSON is what happened to one tag of a batch. Members that do not apply are left out.
type tagDeletionJSON struct {
	TagID         any    `json:"tag_id"` // as sent
	Status        string `json:"status"` // deleted|not_found|in_use|invalid_id|error
	InstanceCount int64  `json:"instance_count,omitempty"`
	Message       string `json:"message,omitempty"`
}

type tagDeletionsJSON struct {
	Results []tagDeletionJSON `json:"results"`
}

// apiDeleteTags deletes each tag of a batch by itself, and answers 207 if any of them stays.
func (h *handlers) apiDeleteTags(c echo.Context) error {
	list, _ := body(c)["tag_ids"].([]any)
	switch {
	case len(list) == 0:
		return models.Invalid("tags.none_chosen")
	case len(list) > maxTagDeletions:
		return models.Invalid("tags.too_many", "Limit", maxTagDeletions)
	}

	var out tagDeletionsJSON
	var names []string
	status, key := http.StatusOK, "api.tags_deleted"
	for _, sent := range list {
		result, name := h.deleteTagOf(c, sent)
		out.Results = append(out.Results, result)
		if result.Status != "deleted" {
			status, key = http.StatusMultiStatus, "api.tags_partly_deleted"
			continue
		}
		names = append(names, name)
	}
	auditTarget(c, 0, strings.Join(names, ", "))
	return h.answer(c, status, out, key)
}

// deleteTagOf deletes the tag with an ID as sent, and returns its name if it existed.
func (h *handlers) deleteTagOf(c echo.Context, sent any) (tagDeletionJSON, string) {
	out := tagDeletionJSON{TagID: sent}
	id, ok := integer(sent)
	if !ok {
		out.Status = "invalid_id"
		return out, ""
	}
	out.TagID = id

	ctx := c.Request().Context()
	tag, err := h.Store.Tag(ctx, id)
	if err == nil {
		err = h.Store.DeleteTag(ctx, id)
	}
	switch failed := models.AsError(err); {
	case err == nil:
		out.Status = "deleted"
	case failed.Code == models.CodeNotFound:
		out.Status = "not_found"
	case failed.Code == models.CodeTagInUse:
		out.Status, out.InstanceCount = "in_use", tag.InstanceCount
	default:
		h.Log.ErrorContext(ctx, "tag not deleted", "tag_id", id, "error", err)
		out.Status, out.Message = "error", views.Failed(lang(c), failed)
	}
	return out, tag.Name
}

// bulkJSON is the result of a change of many instances' tags, with the IDs that were sent.
type bulkJSON struct {
	AssignedCount *int64  `json:"assigned_count,omitempty"`
	RemovedCount  *int64  `json:"removed_count,omitempty"`
	InstanceIDs   []int64 `json:"instance_ids"`
	TagIDs        []int64 `json:"tag_ids,omitempty"`
}

func (h *handlers) apiAssignTags(c echo.Context) error {
	ids, err := bindBulk(c, "instance_ids", "tag_ids")
	if err != nil {
		return err
	}
	n, err := h.Store.AssignTags(c.Request().Context(), ids[0], ids[1])
	if err != nil {
		return err
	}
	return h.ok(c, bulkJSON{AssignedCount: &n, InstanceIDs: ids[0], TagIDs: ids[1]}, "api.tags_assigned", "N", n)
}

func (h *handlers) apiRemoveTags(c echo.Context) error {
	ids, err := bindBulk(c, "instance_ids", "tag_ids")
	if err != nil {
		return err
	}
	n, err := h.Store.RemoveTags(c.Request().Context(), ids[0], ids[1])
	if err != nil {
		return err
	}
	return h.ok(c, bulkJSON{RemovedCount: &n, InstanceIDs: ids[0], TagIDs: ids[1]}, "api.tags_removed", "N", n)
}

func (h *handlers) apiRemoveAllTags(c echo.Context) error {
	ids, err := bindBulk(c, "instance_ids")
	if err != nil {
		return err
	}
	n, err := h.Store.RemoveAllTags(c.Request().Context(), ids[0])
	if err != nil {
		return err
	}
	return h.ok(c, bulkJSON{RemovedCount: &n, InstanceIDs: ids[0]}, "api.tags_all_removed", "N", n)
}

// bindBulk returns the lists of IDs of the members, in their order. Digits as text are accepted.
func bindBulk(c echo.Context, names ...string) ([][]int64, error) {
	f := body(c)
	if len(f) == 0 {
		return nil, &models.Error{Code: models.CodeEmptyRequest}
	}

	lists := make([][]int64, len(names))
	for i, name := range names {
		sent, isList := f[name].([]any)
		if f.given(name) && !isList {
			return nil, models.Invalid("tags.ids_invalid", "Field", name)
		}
		for _, one := range sent {
			id, ok := integer(one)
			if !ok {
				return nil, models.Invalid("tags.ids_invalid", "Field", name)
			}
			lists[i] = append(lists[i], id)
		}
	}
	for _, list := range lists {
		if len(list) == 0 {
			return nil, models.Invalid("tags.ids_missing", "Fields", strings.Join(names, ", "))
		}
	}
	auditTarget(c, 0, joinIDs(lists))
	return lists, nil
}

// bulkInstanceJSON is an instance to choose for a change of many instances' tags.
type bulkInstanceJSON struct {
	ID     int64         `json:"id"`
	Name   string        `json:"name"`
	Host   *string       `json:"host"`
	Port   *int          `json:"port"`
	DBType models.Engine `json:"db_type"`
}

type bulkInstancesJSON struct {
	Instances []bulkInstanceJSON `json:"instances"`
}

func (h *handlers) apiBulkInstances(c echo.Context) error {
	found, err := h.Store.InstanceNames(c.Request().Context(), models.InstanceQuery{})
	if err != nil {
		return err
	}
	out := bulkInstancesJSON{Instances: make([]bulkInstanceJSON, len(found))}
	for i, f := range found {
		out.Instances[i] = bulkInstanceJSON{ID: f.ID, Name: f.Name, Host: f.Host, Port: f.Port, DBType: f.DBType}
	}
	return h.ok(c, out, "api.done")
}

// bulkTagsJSON lists tags with the names of the categories.
type bulkTagsJSON struct {
	Tags          []taggedJSON      `json:"tags"`
	CategoryNames map[string]string `json:"category_names"`
	InstanceIDs   []int64           `json:"instance_ids,omitempty"`
}

func (h *handlers) apiBulkTags(c echo.Context) error {
	tags, err := h.Store.Tags(c.Request().Context())
	if err != nil {
		return err
	}
	return h.ok(c, bulkTagsJSON{newTaggedList(lang(c), tags), categoryNames(lang(c)), nil}, "api.done")
}

// apiInstanceTags returns the tags that any of the instances has. It is a POST that changes nothing.
func (h *handlers) apiInstanceTags(c echo.Context) error {
	ids, err := bindBulk(c, "instance_ids")
	if err != nil {
		return err
	}
	tags, err := h.Store.TagsOf(c.Request().Context(), ids[0])
	if err != nil {
		return err
	}
	return h.ok(c, bulkTagsJSON{newTaggedList(lang(c), tags), categoryNames(lang(c)), ids[0]}, "api.done")
}

// joinIDs returns the lists as text for the audit log.
func joinIDs(lists [][]int64) string {
	texts := make([]string, len(lists))
	for i, list := range lists {
		for j, id := range list {
			if j > 0 {
				texts[i] += ","
			}
			texts[i] += strconv.FormatInt(id, 10)
		}
	}
	return strings.Join(texts, "; ")
}
