package handlers

import (
	"cmp"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
)

// tagDetailJSON is one row of the tag list.
type tagDetailJSON struct {
	ID            int64  `json:"id"`
	Name          string `json:"name"`
	DisplayName   string `json:"display_name"`
	Color         string `json:"color"`
	InstanceCount int64  `json:"instance_count"` // not counting those in the recycle bin
}

func newTagDetail(t models.TagItem) tagDetailJSON {
	return tagDetailJSON{
		ID:            t.ID,
		Name:          t.Name,
		DisplayName:   t.DisplayName,
		Color:         t.Color,
		InstanceCount: t.InstanceCount,
	}
}

func (h *handlers) apiTags(c echo.Context) error {
	limit, offset := bindPage(c)
	found, err := h.Store.TagPage(c.Request().Context(),
		models.TagQuery{Search: c.QueryParam("search"), Limit: limit, Offset: offset})
	if err != nil {
		return err
	}
	items := make([]tagDetailJSON, len(found.Items))
	for i, t := range found.Items {
		items[i] = newTagDetail(t)
	}
	return h.ok(c, newPage(items, found.Total, limit, offset), "api.tags")
}

func (h *handlers) apiCreateTag(c echo.Context) error {
	tag, err := h.createTag(c)
	if err != nil {
		return err
	}
	return h.created(c, echo.Map{"tag": newTagDetail(tag)}, "api.tag_created")
}

// createTag stores the tag described by the body of either door.
func (h *handlers) createTag(c echo.Context) (models.TagItem, error) {
	f := body(c)
	if err := f.require("name"); err != nil {
		return models.TagItem{}, err
	}
	tag, err := bindTag(f, models.Tag{Color: models.TagColors[0]})
	if err != nil {
		return models.TagItem{}, err
	}

	auditTarget(c, 0, tag.Name)
	created, err := h.Store.CreateTag(c.Request().Context(), tag)
	auditTarget(c, created.ID, tag.Name)
	return created, err
}

func (h *handlers) apiUpdateTag(c echo.Context) error {
	tag, err := h.updateTag(c)
	if err != nil {
		return err
	}
	return h.ok(c, echo.Map{"tag": newTagDetail(tag)}, "api.tag_updated")
}

// updateTag changes the tag of the path as the body of either door says.
func (h *handlers) updateTag(c echo.Context) (models.TagItem, error) {
	stored, missing := h.tagOf(c)
	auditTarget(c, stored.ID, stored.Name)
	tag, err := bindTag(body(c), stored.Tag)
	if err != nil {
		return models.TagItem{}, err
	}
	if missing != nil {
		return models.TagItem{}, missing
	}
	return h.Store.UpdateTag(c.Request().Context(), tag)
}

func (h *handlers) apiDeleteTag(c echo.Context) error {
	tag, err := h.deleteTag(c)
	if err != nil {
		return err
	}
	return h.ok(c, echo.Map{"tag_id": tag.ID}, "api.tag_deleted")
}

// deleteTag deletes the tag of the path.
func (h *handlers) deleteTag(c echo.Context) (models.TagItem, error) {
	tag, err := h.tagOf(c)
	auditTarget(c, tag.ID, tag.Name)
	if err != nil {
		return tag, err
	}
	return tag, h.Store.DeleteTag(c.Request().Context(), tag.ID)
}

// tagOf returns the tag of the path. On an error only its ID may be set.
func (h *handlers) tagOf(c echo.Context) (models.TagItem, error) {
	id, err := pathID(c, "tag.not_found")
	if err != nil {
		return models.TagItem{}, err
	}
	tag, err := h.Store.Tag(c.Request().Context(), id)
	if err != nil {
		return models.TagItem{Tag: models.Tag{ID: id}}, err
	}
	return tag, nil
}

// bindTag returns the tag with the changes of the body. An empty display name becomes the name.
func bindTag(f fields, tag models.Tag) (models.Tag, error) {
	if err := f.refuseBlank("name"); err != nil {
		return tag, err
	}
	if err := f.bindLine("name", maxTagName, &tag.Name); err != nil {
		return tag, err
	}
	if err := f.bindLine("display_name", maxTagName, &tag.DisplayName); err != nil {
		return tag, err
	}
	if err := bindTagColor(f, &tag.Color); err != nil {
		return tag, err
	}

	tag.Name = strings.TrimSpace(tag.Name)
	tag.DisplayName = cmp.Or(strings.TrimSpace(tag.DisplayName), tag.Name)
	return tag, nil
}

// tagColorAliases maps the color names of the older product to ours.
var tagColorAliases = map[string]string{
	"primary": "blue", "success": "green", "info": "teal", "warning": "orange", "danger": "red",
	"secondary": "gray", "dark": "gray", "light": "gray", "grey": "gray",
}

func bindTagColor(f fields, target *string) error {
	typed, given, err := f.text("color")
	color := strings.ToLower(strings.TrimSpace(typed))
	if err != nil || !given || color == "" {
		return err
	}

	color = cmp.Or(tagColorAliases[color], color)
	if !slices.Contains(models.TagColors, color) {
		return models.Invalid("tag.color_unknown", "Colors", strings.Join(models.TagColors, ", "))
	}
	*target = color
	return nil
}

type tagJSON struct {
	Name        string `json:"name"`
	DisplayName string `json:"display_name"`
	Color       string `json:"color"`
}

func newTags(tags []models.Tag) []tagJSON {
	out := make([]tagJSON, len(tags))
	for i, t := range tags {
		out[i] = tagJSON{Name: t.Name, DisplayName: t.DisplayName, Color: t.Color}
	}
	return out
}
