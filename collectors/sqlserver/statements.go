package sqlserver

import (
	"embed"

	"whalefall/collectors"
)

//go:embed sql/*.sql
var sqlFiles embed.FS

// statements holds the text of each file in sql by its name without ".sql".
var statements = collectors.Statements(sqlFiles)
