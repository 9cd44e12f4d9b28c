package views

import (
	"net/url"

	"whalefall/models"
)

// TagList is the page with all tags.
type TagList struct {
	Listing
	Items  []models.TagItem
	Search string
}

// TagForm is what a person typed about a tag, or is about to change.
type TagForm struct {
	models.Tag          // its ID is 0: a new one
	Problem    *Failure // why it was refused; nil: it was not
}

// Action is where the form is sent.
func (f TagForm) Action() string { return formAction("/tags", f.ID) }

// instancesWith is the list of the instances that carry the tag.
func instancesWith(t models.Tag) string {
	return "/instances?" + url.Values{"tags": {t.Name}}.Encode()
}
