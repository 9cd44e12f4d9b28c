package handlers

import (
	"net/http"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

func importOperations() []operation {
	template := operation{
		method:  http.MethodGet,
		path:    "/instances/imports/template",
		id:      "getImportTemplate",
		tag:     tagInstances,
		summary: "Get a CSV file to fill in for an import",
		query:   exportFields[1:],
		files: []openapi.File{
			{
				Media: "text/csv",
				Sample: "name,db_type,host,port,database_name,description,credential_id\n" +
					"example-mysql-01,mysql,192.0.2.10,3306,,,\n",
			},
		},
	}
	templateFile := template
	templateFile.path, templateFile.id = "/files/template-download", "getImportTemplateFile"
	return []operation{
		template,
		templateFile,
		{
			method:  http.MethodPost,
			path:    "/instances/batch-create",
			id:      "importInstances",
			tag:     tagInstances,
			summary: "Import instances from CSV",
			about: "A form with a file: `curl -F file=@instances.csv`. The file is UTF-8, with or without byte order " +
				"mark, and has the columns " +
				"`name,db_type,host,port[,database_name,description,credential_id,tls_mode,tags,status]` in any order. " +
				"Valid rows are created; the others are reported.",
			upload: true,
			body: []openapi.Field{
				openapi.Required("file", openapi.Dict("type", "string", "contentMediaType", "text/csv"),
					"The file; its name ends in .csv."),
			},
			message: "import.created",
			args:    []any{"Count", 2},
			data: importJSON{
				CreatedCount:         2,
				CreatedIDs:           []int64{8, 9},
				Errors:               []string{"第 3 个实例数据无效：端口号必须在1-65535之间"},
				DuplicateNames:       []string{},
				SkippedExistingNames: []string{},
			},
			fails: []*models.Error{
				models.Invalid("import.no_rows"),
				models.Invalid("import.columns_missing", "Columns", "host, port"),
				models.Invalid("import.column_repeated", "Column", "host"),
				models.Invalid("import.not_utf8"),
				models.Invalid("import.malformed", "Line", 3),
				models.Invalid("import.too_many_rows", "Limit", maxImportRows),
				models.Invalid("body.not_form"),
			},
		},
	}
}
