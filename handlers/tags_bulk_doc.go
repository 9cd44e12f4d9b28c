package handlers

import (
	"net/http"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

// otherTagOperations describes the routes of tags that clients of the original know.
func otherTagOperations(tag taggedJSON) []operation {
	one := struct {
		Tag taggedJSON `json:"tag"`
	}{tag}
	return []operation{
		{
			method: http.MethodGet, path: "/tags/options", id: "listTagOptions", tag: tagTags,
			summary: "List the tags to choose from", about: "Sorted by category, display name and name.",
			query: []openapi.Field{
				openapi.Optional("category", openapi.Text(0), "Only the tags of this category, exactly."),
			},
			message: "api.done", data: tagOptionsJSON{[]taggedJSON{tag}, tag.Category},
		},
		{
			method: http.MethodGet, path: "/tags/categories", id: "listTagCategories", tag: tagTags,
			summary: "List the usual categories of tags", about: "Any other text may be a category, too.",
			message: "api.done", data: struct {
				Categories [][2]string `json:"categories"`
			}{[][2]string{{"environment", "环境标签"}}},
		},
		{
			method: http.MethodGet, path: "/tags/{id}", id: "getTag", tag: tagTags, summary: "Get one tag",
			message: "api.tag", data: one, missing: "tag.missing",
		},
		{
			method: http.MethodGet, path: "/tags/by-name/{tag}", id: "getTagByName", tag: tagTags,
			summary: "Get the tag with a name", message: "api.tag", data: one, missing: "tag.missing",
		},
	}
}

// bulkTagOperations describes the routes that change many tags or the tags of many instances.
func bulkTagOperations(tag taggedJSON) []operation {
	one, categories := int64(1), map[string]string{"environment": "环境标签"}
	host, port := "db.example.com", 5432
	instances := openapi.Required("instance_ids", idList, "IDs of the instances; those that do not exist are passed over.")
	tags := openapi.Required("tag_ids", idList, "IDs of the tags; those that do not exist are passed over.")
	all := []operation{
		{
			method: http.MethodPost, path: "/tags/batch-delete", id: "deleteTags", tag: tagTags,
			summary: "Delete tags", about: "Each by itself, in the order of the request; 207 if any of them stays.",
			body: []openapi.Field{openapi.Required("tag_ids", openapi.Dict("type", "array", "minItems", 1,
				"maxItems", maxTagDeletions, "items", openapi.Dict("type", []string{"integer", "string"})), "IDs of the tags.")},
			example: openapi.Dict("tag_ids", []int{2, 3}), message: "api.tags_deleted",
			data: tagDeletionsJSON{[]tagDeletionJSON{{TagID: 2, Status: "deleted"}}},
			partial: &operation{
				status: http.StatusMultiStatus, message: "api.tags_partly_deleted", data: tagDeletionsJSON{
					[]tagDeletionJSON{{TagID: 2, Status: "deleted"}, {TagID: 3, Status: "in_use", InstanceCount: 4}},
				},
			},
			fails: []*models.Error{
				models.Invalid("tags.none_chosen"), models.Invalid("tags.too_many", "Limit", maxTagDeletions),
			},
		},
		{
			method: http.MethodGet, path: "/tags/bulk/instances", id: "listBulkInstances", tag: tagTags,
			summary: "List the instances to choose from", about: "All but those in the recycle bin, sorted by name.",
			message: "api.done", data: bulkInstancesJSON{[]bulkInstanceJSON{
				{ID: 7, Name: "orders", Host: &host, Port: &port, DBType: models.PostgreSQL},
			}},
		},
		{
			method: http.MethodGet, path: "/tags/bulk/tags", id: "listBulkTags", tag: tagTags,
			summary: "List all tags with the names of the categories",
			message: "api.done", data: bulkTagsJSON{[]taggedJSON{tag}, categories, nil},
		},
		{
			method: http.MethodPost, path: "/tags/bulk/instance-tags", id: "listInstanceTags", tag: tagTags,
			summary: "List the tags that any of some instances has", body: []openapi.Field{instances},
			example: openapi.Dict("instance_ids", []int{7}), message: "api.done",
			data: bulkTagsJSON{[]taggedJSON{tag}, categories, []int64{7}}, missing: "instance.none_found",
			fails: bulkRefusals("instance_ids"),
		},
	}
	changes := []operation{
		{
			path: "assign", id: "assignTags", summary: "Give tags to instances", body: []openapi.Field{instances, tags},
			example: openapi.Dict("instance_ids", []int{7}, "tag_ids", []int{2}), message: "api.tags_assigned",
			data:  bulkJSON{AssignedCount: &one, InstanceIDs: []int64{7}, TagIDs: []int64{2}},
			fails: bulkRefusals("instance_ids, tag_ids"),
		},
		{
			path: "remove", id: "removeTags", summary: "Take tags from instances", body: []openapi.Field{instances, tags},
			example: openapi.Dict("instance_ids", []int{7}, "tag_ids", []int{2}), message: "api.tags_removed",
			data:  bulkJSON{RemovedCount: &one, InstanceIDs: []int64{7}, TagIDs: []int64{2}},
			fails: bulkRefusals("instance_ids, tag_ids"),
		},
		{
			path: "remove-all", id: "removeAllTags", summary: "Take all tags from instances", body: []openapi.Field{instances},
			example: openapi.Dict("instance_ids", []int{7}), message: "api.tags_all_removed",
			data:  bulkJSON{RemovedCount: &one, InstanceIDs: []int64{7}},
			fails: bulkRefusals("instance_ids"),
		},
	}
	for _, o := range changes {
		o.method, o.tag, o.missing, o.args = http.MethodPost, tagTags, "instance.none_found", []any{"N", 1}
		short, long := o, o
		short.path, long.path, long.id = "/tags/bulk/"+o.path, "/tags/bulk/actions/"+o.path, o.id+"Action"
		all = append(all, short, long)
	}
	return all
}

var idList = openapi.Dict("type", "array", "minItems", 1, "items", openapi.Dict("type", "integer", "format", "int64"))

// bulkRefusals lists the failures of bindBulk and of the store for the members.
func bulkRefusals(members string) []*models.Error {
	return []*models.Error{
		{Code: models.CodeEmptyRequest},
		models.Invalid("tags.ids_invalid", "Field", "instance_ids"), models.Invalid("tags.ids_missing", "Fields", members),
		models.NotFound("tag.none_found"),
	}
}
