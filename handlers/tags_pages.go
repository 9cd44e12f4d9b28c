package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"whalefall/models"
	"whalefall/views"
)

var (
	tagSorts  = []string{"name", "display_name", "color", "instances"}
	tagLimits = []int{50, 100, 200}
)

// tagsChanged is the event on which the list of tags reloads itself.
const tagsChanged = "tags-changed"

func (h *handlers) tagsPage(c echo.Context) error {
	m := views.TagList{Listing: bindListing(c, tagSorts, "name", false, tagLimits), Search: c.QueryParam("search")}
	m.Path, m.Target, m.Push = "/tags", "tag-list", true
	keepFilter(c, &m.Listing, "search")
	page, err := clampedPage(&m.Listing, func() (models.TagPage, int64, error) {
		page, err := h.Store.TagPage(c.Request().Context(), models.TagQuery{
			Search: m.Search, Sort: m.Sort, Desc: m.Desc, Limit: m.Limit, Offset: m.Offset(),
		})
		return page, page.Total, err
	})
	if err != nil {
		return err
	}
	m.Items, m.Shown = page.Items, len(page.Items)
	p := h.pageWithNotice(c)
	return h.render(c, http.StatusOK, p,
		screen{title: p.T("tags.title"), body: views.Tags(p, m), fragments: []string{m.Target}})
}

func (h *handlers) newTagPage(c echo.Context) error {
	return h.render(c, http.StatusOK, h.page(c), h.tagForm(c, models.Tag{Color: models.TagColors[0]}, nil))
}

func (h *handlers) editTagPage(c echo.Context) error {
	tag, err := h.tagOf(c)
	if err != nil {
		return err
	}
	return h.render(c, http.StatusOK, h.page(c), h.tagForm(c, tag.Tag, nil))
}

func (h *handlers) tagForm(c echo.Context, t models.Tag, problem *views.Failure) screen {
	p := h.page(c)
	title := p.T("tags.add")
	if t.ID != 0 {
		title = p.T("tags.edit")
	}
	return screen{title: title, body: views.TagEdit(p, views.TagForm{Tag: t, Problem: problem})}
}

// redisplayTagForm has the form come back with what was typed if this write is refused.
func (h *handlers) redisplayTagForm(c echo.Context, id int64) {
	f := body(c)
	t := models.Tag{ID: id}
	t.Name, _, _ = f.text("name")
	t.DisplayName, _, _ = f.text("display_name")
	t.Color, _, _ = f.text("color")
	redisplay(c, func(problem *views.Failure) (screen, error) { return h.tagForm(c, t, problem), nil })
}

func (h *handlers) submitTag(c echo.Context) error {
	h.redisplayTagForm(c, 0)
	tag, err := h.createTag(c)
	if err != nil {
		return err
	}
	return h.answerChanged(c, tagsChanged, "/tags", h.page(c).T("tags.created", "Name", tag.Name))
}

func (h *handlers) submitTagEdit(c echo.Context) error {
	id, err := pathID(c, "tag.not_found")
	if err != nil {
		return err
	}
	h.redisplayTagForm(c, id)
	tag, err := h.updateTag(c)
	if err != nil {
		return err
	}
	return h.answerChanged(c, tagsChanged, "/tags", h.page(c).T("tags.updated", "Name", tag.Name))
}

func (h *handlers) submitTagDelete(c echo.Context) error {
	tag, err := h.deleteTag(c)
	if err != nil {
		return err
	}
	return h.answerChanged(c, tagsChanged, "/tags", h.page(c).T("tags.deleted", "Name", tag.Name))
}
