package views

import (
	"net/url"

	"whalefall/models"
)

// TagList is the model of the page with all tags.
type TagList struct {
	Listing
	Items  []models.TagItem
	Search string
}

// TagForm holds the input for a new tag or a change of one.
type TagForm struct {
	models.Tag          // an ID of 0: a new tag
	Problem    *Failure // why the input was refused; nil: it was not
}

// Action returns the address that the form is sent to.
func (f TagForm) Action() string { return formAction("/tags", f.ID) }

// instancesWith returns the address of the list of instances with the tag.
func instancesWith(t models.Tag) string {
	return "/instances?" + url.Values{"tags": {t.Name}}.Encode()
}
