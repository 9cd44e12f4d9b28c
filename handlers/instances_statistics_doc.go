package handlers

import (
	"net/http"

	"whalefall/models"
)

func statisticsOperations() []operation {
	size, mysql, postgres := int64(1<<40), 3306, 5432
	return []operation{
		{
			method: http.MethodGet, path: "/instances/statistics", id: "getInstanceStatistics", tag: tagInstances,
			summary: "Count the instances", message: "api.statistics", data: statisticsJSON{
				TotalInstances:    12,
				ActiveInstances:   11,
				NormalInstances:   11,
				DisabledInstances: 1,
				InactiveInstances: 1,
				DeletedInstances:  2,
				DBTypesCount:      2,
				PortStats:         []portCountJSON{{&mysql, 8}, {&postgres, 4}},
				VersionStats:      []versionCountJSON{{models.MySQL, "8.4", 8}, {models.PostgreSQL, "16", 4}},
				DatabaseCount:     96,
				TotalSizeBytes:    &size,
				DBTypeStats:       []engineCountJSON{{models.MySQL, 8}, {models.PostgreSQL, 4}},
			},
		},
	}
}
