package models

import (
	"encoding/json"
	"testing"
)

func TestStoredError_RenamedKeys(t *testing.T) {
	t.Parallel()
	for stored, want := range map[string]string{
		"collect.pg.denied":         "collect.postgresql.denied",
		"collect.mssql.offline":     "collect.sqlserver.offline",
		"collect.sqlserver.offline": "collect.sqlserver.offline",
		"collect.mysql.denied":      "collect.mysql.denied",
	} {
		var e storedError
		text := `{"code":"SYNC_DATA_ERROR","key":"` + stored + `","args":{"Name":"a"}}`
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		if e.Key != want || e.Code != "SYNC_DATA_ERROR" || e.Args["Name"] != "a" {
			t.Errorf("%s: got %+v, want the key %s", stored, e, want)
		}
	}
}
