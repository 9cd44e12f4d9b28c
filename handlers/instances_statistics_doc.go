package handlers

import (
	"net/http"

	"whalefall/models"
)

func statisticsOperations() []operation {
	size := int64(1 << 40)
	return []operation{
		{
			method: http.MethodGet, path: "/instances/statistics", id: "getInstanceStatistics", tag: tagInstances,
			summary: "Count the instances", message: "api.statistics", data: statisticsJSON{
				TotalInstances:    12,
				ActiveInstances:   11,
				DisabledInstances: 1,
				DeletedInstances:  2,
				DatabaseCount:     96,
				TotalSizeBytes:    &size,
				DBTypeStats:       []engineCountJSON{{models.MySQL, 8}, {models.PostgreSQL, 4}},
			},
		},
	}
}
