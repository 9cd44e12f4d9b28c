package handlers

import (
	"net/http"
	"slices"

	"whalefall/handlers/openapi"
	"whalefall/models"
	"whalefall/views"
)

var exampleTag = tagJSON{Name: "production", DisplayName: "生产", Color: "red"}

func tagOperations() []operation {
	tag := newTagged(views.Chinese, models.Tag{
		ID: 2, Name: exampleTag.Name, DisplayName: exampleTag.DisplayName, Color: exampleTag.Color, Category: "environment",
	})
	one := struct {
		Tag tagDetailJSON `json:"tag"`
	}{tagDetailJSON{tag, 4}}
	members := []openapi.Field{
		openapi.Required("name", openapi.Text(maxTagName), "Unique, one line."),
		openapi.Optional("display_name", openapi.Text(maxTagName), "What the pages show; empty: the name."),
		openapi.Optional("color", openapi.Default(openapi.Enum(models.TagColors...), models.TagColors[0]),
			"Name of a color of the palette, or of one of the original's."),
		openapi.Optional("category", openapi.Text(maxTagName), "Groups tags; see `/tags/categories`."),
	}
	fails := slices.Concat([]*models.Error{
		required("name"),
		models.Invalid("tag.color_unknown", "Colors", "gray, blue, …"),
		{Code: models.CodeConflict, Key: "tag.name_taken"},
	}, badText("name", maxTagName))
	remove := operation{
		method: http.MethodDelete, path: "/tags/{id}", id: "deleteTag", tag: tagTags, summary: "Delete a tag",
		about:   "Refused while instances outside the recycle bin have it.",
		message: "api.tag_deleted", data: struct {
			TagID int64 `json:"tag_id"`
		}{2}, missing: "tag.not_found", fails: []*models.Error{{
			Code: models.CodeTagInUse, Key: "tag.in_use", Args: models.Args("Name", exampleTag.DisplayName, "N", 4),
			Extra: models.Args("tag_id", int64(2), "instance_count", int64(4)),
		}},
	}
	removeByPost := remove
	removeByPost.method, removeByPost.path = http.MethodPost, "/tags/{id}/delete"
	removeByPost.id, removeByPost.missing = "deleteTagByPost", "tag.missing"
	return slices.Concat([]operation{
		{
			method:  http.MethodGet,
			path:    "/tags",
			id:      "listTags",
			tag:     tagTags,
			summary: "List tags",
			query: append(
				[]openapi.Field{
					openapi.Optional("search", openapi.Text(0),
						"Case-insensitive substring of name or display name, taken literally."),
					openapi.Optional("category", openapi.Text(0), "Only the tags of this category, exactly."),
				},
				pageFields...),
			message: "api.tags",
			data: tagPageJSON{
				newPage([]tagDetailJSON{one.Tag}, 1, listLimit, 0), tagStatisticsJSON{Total: 1, Active: 1, CategoryCount: 1},
			},
		},
		{
			method: http.MethodPost, path: "/tags", id: "createTag", tag: tagTags, summary: "Add a tag",
			body: members, example: openapi.Dict("name", "production", "display_name", "生产", "color", "red"),
			status: http.StatusCreated, message: "api.tag_created", data: one, fails: fails,
		},
		{
			method:  http.MethodPut,
			path:    "/tags/{id}",
			id:      "updateTag",
			tag:     tagTags,
			summary: "Change a tag",
			about:   "Absent members stay as they are.",
			body:    openapi.AllOptional(members),
			example: openapi.Dict("color", "orange"),
			message: "api.tag_updated",
			data:    one,
			missing: "tag.not_found",
			fails:   fails,
		},
		remove,
		removeByPost,
	}, otherTagOperations(tag), bulkTagOperations(tag))
}
