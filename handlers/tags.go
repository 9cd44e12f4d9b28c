package handlers

import (
	"cmp"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

// taggedJSON is a tag by itself.
type taggedJSON struct {
	ID          int64   `json:"id"`
	Name        string  `json:"name"`
	DisplayName string  `json:"display_name"`
	Category    *string `json:"category"`
	Color       string  `json:"color"`
	ColorValue  string  `json:"color_value"`
	ColorName   string  `json:"color_name"`
	CSSClass    string  `json:"css_class"`
	IsActive    bool    `json:"is_active"`  // always true: tags cannot be switched off
	CreatedAt   *string `json:"created_at"` // always null, as updated_at: not kept
	UpdatedAt   *string `json:"updated_at"`
}

func newTagged(lang string, t models.Tag) taggedJSON {
	look := tagLooks[t.Color]
	return taggedJSON{
		ID: t.ID, Name: t.Name, DisplayName: t.DisplayName, Category: orNull(t.Category), Color: t.Color,
		ColorValue: look.value, ColorName: views.Message(lang, "color."+t.Color, nil), CSSClass: look.class, IsActive: true,
	}
}

func newTaggedList(lang string, tags []models.Tag) []taggedJSON {
	out := make([]taggedJSON, len(tags))
	for i, t := range tags {
		out[i] = newTagged(lang, t)
	}
	return out
}

// tagLooks says how clients of the original show our colors: as #rrggbb, or with a class of Bootstrap.
var tagLooks = map[string]struct{ value, class string }{
	"gray":   {"#596475", "bg-secondary"},
	"blue":   {"#0f5bd7", "bg-primary"},
	"teal":   {"#0b6163", "bg-info"},
	"green":  {"#116b36", "bg-success"},
	"yellow": {"#6b5300", "bg-warning"},
	"orange": {"#9a3f06", "bg-warning"},
	"red":    {"#b42025", "bg-danger"},
	"pink":   {"#a81d62", "bg-danger"},
	"purple": {"#6b35b8", "bg-primary"},
}

// tagDetailJSON is one row of the tag list.
type tagDetailJSON struct {
	taggedJSON
	InstanceCount int64 `json:"instance_count"` // not counting those in the recycle bin
}

func newTagDetail(lang string, t models.TagItem) tagDetailJSON {
	return tagDetailJSON{newTagged(lang, t.Tag), t.InstanceCount}
}

// tagPageJSON is one page of tags, with counts of all tags whatever the filter.
type tagPageJSON struct {
	pageJSON[tagDetailJSON]
	Stats tagStatisticsJSON `json:"stats"`
}

type tagStatisticsJSON struct {
	Total         int64 `json:"total"`
	Active        int64 `json:"active"` // all
	Inactive      int64 `json:"inactive"`
	CategoryCount int64 `json:"category_count"`
}

func (h *handlers) apiTags(c echo.Context) error {
	limit, offset := bindPage(c)
	q := models.TagQuery{
		Search: c.QueryParam("search"), Category: c.QueryParam("category"), Limit: limit, Offset: offset,
	}
	found, err := h.Store.TagPage(c.Request().Context(), q)
	if err != nil {
		return err
	}
	stats, err := h.Store.TagStatistics(c.Request().Context())
	if err != nil {
		return err
	}

	items := make([]tagDetailJSON, len(found.Items))
	for i, t := range found.Items {
		items[i] = newTagDetail(lang(c), t)
	}
	return h.ok(c, tagPageJSON{
		newPage(items, found.Total, limit, offset),
		tagStatisticsJSON{Total: stats.Total, Active: stats.Total, CategoryCount: stats.Categories},
	}, "api.tags")
}

func (h *handlers) apiTag(c echo.Context) error {
	tag, err := h.tagOf(c)
	if err != nil {
		return notFoundAs(err, "tag.missing")
	}
	return h.ok(c, echo.Map{"tag": newTagged(lang(c), tag.Tag)}, "api.tag")
}

func (h *handlers) apiTagByName(c echo.Context) error {
	name, err := pathSegment(c, "tag")
	if err != nil {
		return notFoundAs(err, "tag.missing")
	}
	tag, err := h.Store.TagByName(c.Request().Context(), name)
	if err != nil {
		return notFoundAs(err, "tag.missing")
	}
	return h.ok(c, echo.Map{"tag": newTagged(lang(c), tag.Tag)}, "api.tag")
}

func (h *handlers) apiCreateTag(c echo.Context) error {
	tag, err := h.createTag(c)
	if err != nil {
		return err
	}
	return h.created(c, echo.Map{"tag": newTagDetail(lang(c), tag)}, "api.tag_created")
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
	return h.ok(c, echo.Map{"tag": newTagDetail(lang(c), tag)}, "api.tag_updated")
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

// apiDeleteTagByPost deletes a tag like apiDeleteTag, for clients of the original.
func (h *handlers) apiDeleteTagByPost(c echo.Context) error {
	return notFoundAs(h.apiDeleteTag(c), "tag.missing")
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
	if err := f.bindLine("category", maxTagName, &tag.Category); err != nil {
		return tag, err
	}
	if err := bindTagColor(f, &tag.Color); err != nil {
		return tag, err
	}

	tag.Name, tag.Category = strings.TrimSpace(tag.Name), strings.TrimSpace(tag.Category)
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
