package handlers

import (
	"net/http"

	"whalefall/handlers/openapi"
)

func exportOperations() []operation {
	export := operation{
		method:  http.MethodGet,
		path:    "/instances/exports",
		id:      "exportInstances",
		tag:     tagInstances,
		summary: "Export instances as CSV",
		about: "All instances of the filter, ascending by ID. The file can be imported again; texts that look like a " +
			"formula get a leading apostrophe.",
		query: append(instanceFilter()[:5], exportFields[1]),
		files: []openapi.File{
			{
				Media: "text/csv",
				Sample: "name,db_type,host,port,database_name,description,credential_id,…\n" +
					"orders,postgresql,db.example.com,5432,,,3,…\n",
			},
		},
	}
	exportFile := export
	exportFile.path, exportFile.id = "/files/instance-export", "exportInstancesFile"
	return []operation{export, exportFile}
}
