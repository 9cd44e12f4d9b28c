package handlers

import (
	"slices"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

// pageFields describes the query that bindPage reads.
var pageFields = []openapi.Field{
	openapi.Optional("page", openapi.Example(openapi.Dict("type", "integer", "default", 1), 1),
		"Number of the page, from 1."),
	openapi.Optional("limit", openapi.Example(openapi.Dict("type", "integer", "default", listLimit), 20),
		"Rows of a page, at most 200; more count as 200, less than 1 as the default."),
	openapi.Optional("page_size", openapi.Dict("type", "integer"), "The same as `limit`, which takes precedence."),
	openapi.Optional("per_page", openapi.Dict("type", "integer"), "The same as `page_size`, which takes precedence."),
}

// strictPageFields describes the query that bindStrictPage reads.
var strictPageFields = []openapi.Field{
	openapi.Optional("page", openapi.Default(openapi.Dict("type", "integer", "minimum", 1), 1), "Number of the page."),
	openapi.Optional("limit", openapi.Default(openapi.Dict("type", "integer", "minimum", 1), listLimit),
		"Rows of a page, at most 200; more count as 200."),
	pageFields[2], pageFields[3],
}

// strictPageRefusals lists the failures of bindStrictPage.
var strictPageRefusals = []*models.Error{models.Invalid("query.not_positive", "Name", "page")}

var (
	startDate = openapi.Optional("start_date", openapi.Dict("type", "string", "format", "date"),
		"First day, YYYY-MM-DD, in WhaleFall's configured time zone.")
	endDate = openapi.Optional("end_date", openapi.Dict("type", "string", "format", "date"),
		"Last day, YYYY-MM-DD, inclusive.")

	dayRefusals = []*models.Error{
		models.Invalid("query.not_day", "Name", "start_date"),
		models.Invalid("query.not_day", "Name", "end_date"),
		models.Invalid("query.days_reversed"),
	}
	limitRefusals = []*models.Error{
		models.Invalid("query.not_integer", "Name", "limit"), models.Invalid("query.too_small", "Name", "limit", "Limit", 1),
		models.Invalid("query.too_large", "Name", "limit", "Limit", maxSizeLimit),
	}
	windowRefusals = append(slices.Clone(limitRefusals),
		models.Invalid("query.not_integer", "Name", "offset"), models.Invalid("query.negative", "Name", "offset"))
	numberedRefusals = append(slices.Clone(limitRefusals), models.Invalid("query.offset_unsupported"),
		models.Invalid("query.not_integer", "Name", "page"), models.Invalid("query.too_small", "Name", "page", "Limit", 1),
		models.Invalid("query.too_large", "Name", "page", "Limit", maxOffset/maxSizeLimit))
)

// windowFields describes limit and offset; numberedFields describes limit and page of the later path style.
func windowFields(rows int) []openapi.Field {
	return []openapi.Field{
		openapi.Optional("limit", openapi.Default(openapi.IntUpTo(maxSizeLimit), rows), "Rows of the answer."),
		openapi.Optional("offset", openapi.Default(openapi.Dict("type", "integer", "minimum", 0), 0),
			"Rows to skip before the first."),
	}
}

func numberedFields(rows int) []openapi.Field {
	return []openapi.Field{
		openapi.Optional("limit", openapi.Default(openapi.IntUpTo(maxSizeLimit), rows),
			"Rows of a page. There is no `offset` here: sending one is 400."),
		openapi.Optional("page", openapi.Default(openapi.IntUpTo(maxOffset/maxSizeLimit), 1), "Number of the page."),
	}
}

// signed returns the schema of sort columns with and without the minus that reverses them.
func signed(columns []string) openapi.Object {
	var all []string
	for _, c := range columns {
		all = append(all, c, "-"+c)
	}
	return openapi.Enum(all...)
}
