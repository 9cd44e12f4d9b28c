package handlers

func exampleSync() syncResultJSON {
	size, megabytes := int64(92_274_688), int64(88)
	return syncResultJSON{
		Status:              "completed",
		DatabaseCount:       1,
		TotalSizeMB:         megabytes,
		TotalSizeBytes:      size,
		SavedCount:          1,
		InstanceStatUpdated: true,
		Complete:            true,
		Databases: []syncedDatabaseJSON{{
			DatabaseName: "shop", SizeMB: &megabytes, DataSizeMB: &megabytes, SizeBytes: &size, DataSizeBytes: &size,
			CollectedDate: "2026-07-01", CollectedAt: exampleTime,
		}},
		Inventory: inventoryJSON{
			Created:               1,
			ActiveDatabases:       []string{"shop"},
			FilteredDatabases:     []string{},
			SynchronizedDatabases: []string{"shop"},
		},
		Message: "成功采集并保存 1 个数据库的容量信息",
	}
}
